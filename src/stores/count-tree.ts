// How much a directory holds: for the counts, for progress, and to know what is empty, or can be read past the Engine.
import { isUtf8 } from 'node:buffer';
import fs, { type Dirent } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { cannotRead, isProgram } from '../archive/pack-parts.ts';
import { bytesOf, pathOf, type RawName, rawEncoding, rawOfText, textOf } from '../archive/raw-name.ts';
import { systemCodeOf } from '../errors.ts';
import type { Skip } from './patterns.ts';

export interface TreeExtent {
  readonly counts: {
    /** Everything but directories. */
    readonly files: number;
    /** The root not counted, nor directories that only stand around something. */
    readonly directories: number;
  };
  /** An estimate where there are many files. */
  readonly bytes: number;
  /**
   * Files that somebody may execute, an estimate where there are many files; infinite where one has a name that is not UTF-8, by
   * which the Engine cannot be asked for it.
   */
  readonly programs: number;
}

const turnMs = 10;
/** To look at a small file takes a quarter of the time that it takes to save it: of more than so many, one in eight is looked at. */
const manyFiles = 20_000;
const oneIn = 8;

export async function countTree(
  root: string,
  skip: Skip,
  signal: AbortSignal,
  { many = manyFiles } = {},
): Promise<TreeExtent> {
  const counts = { files: 0, directories: 0 };
  let [bytes, programs] = [0, 0];
  const stack: RawName[] = [''];
  let turnStartedAt = performance.now();
  for (let directory = stack.pop(); directory !== undefined; directory = stack.pop()) {
    for (const entry of namesIn(root, directory)) {
      const relative = `${directory}${entry.name}`;
      const isDirectory = entry.isDirectory();
      const verdict = skip(textOf(relative), isDirectory);
      if (verdict === true) continue;
      if (isDirectory) stack.push(`${relative}/`);
      if (verdict === 'descend') continue;
      counts[isDirectory ? 'directories' : 'files'] += 1;
      const weight = weightOf(counts.files, many);
      if (entry.isFile() && weight > 0) {
        const stats = fs.lstatSync(pathOf(`${rawOfText(root)}/${relative}`), { throwIfNoEntry: false });
        bytes += weight * (stats?.size ?? 0);
        if (stats && isProgram(stats)) programs += weight * costOf(relative);
      }
      if (performance.now() - turnStartedAt < turnMs) continue;
      await nextTurn();
      signal.throwIfAborted();
      turnStartedAt = performance.now();
    }
  }
  return { counts, bytes, programs };
}

/** For how many the file of this number stands. */
function weightOf(number: number, many: number): number {
  if (number <= many) return 1;
  return number % oneIn === 0 ? oneIn : 0;
}

const costOf = (relative: RawName): number => (isUtf8(bytesOf(relative)) ? 1 : Number.POSITIVE_INFINITY);

function namesIn(root: string, directory: RawName): Dirent[] {
  try {
    return fs.readdirSync(pathOf(`${rawOfText(root)}/${directory}`), {
      encoding: rawEncoding,
      withFileTypes: true,
    });
  } catch (error) {
    if (directory !== '' && ['ENOENT', 'ENOTDIR'].includes(systemCodeOf(error) ?? '')) return [];
    throw cannotRead(textOf(`${rawOfText(root)}/${directory}`), error);
  }
}
