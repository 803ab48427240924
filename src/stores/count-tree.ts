// How much a directory holds: for the counts, for progress, and to know what is empty, or can be read past the Engine.
import { isUtf8 } from 'node:buffer';
import fs from 'node:fs';
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
  readonly bytes: number;
  /** Files that somebody may execute; infinite where one has a name that is not UTF-8, by which the Engine cannot be asked for it. */
  readonly programs: number;
}

const turnMs = 10;

export async function countTree(root: string, skip: Skip, signal: AbortSignal): Promise<TreeExtent> {
  const counts = { files: 0, directories: 0 };
  let [bytes, programs] = [0, 0];
  const stack: RawName[] = [''];
  let turnStartedAt = performance.now();
  for (let directory = stack.pop(); directory !== undefined; directory = stack.pop()) {
    for (const name of namesIn(root, directory)) {
      const relative = `${directory}${name}`;
      const stats = fs.lstatSync(pathOf(`${rawOfText(root)}/${relative}`), { throwIfNoEntry: false });
      if (!stats) continue;
      const isDirectory = stats.isDirectory();
      const verdict = skip(textOf(relative), isDirectory);
      if (verdict === true) continue;
      if (isDirectory) stack.push(`${relative}/`);
      if (verdict === 'descend') continue;
      counts[isDirectory ? 'directories' : 'files'] += 1;
      if (stats.isFile()) bytes += stats.size;
      if (isProgram(stats)) programs += isUtf8(bytesOf(relative)) ? 1 : Number.POSITIVE_INFINITY;
      if (performance.now() - turnStartedAt < turnMs) continue;
      await nextTurn();
      signal.throwIfAborted();
      turnStartedAt = performance.now();
    }
  }
  return { counts, bytes, programs };
}

function namesIn(root: string, directory: RawName): RawName[] {
  try {
    return fs.readdirSync(pathOf(`${rawOfText(root)}/${directory}`), { encoding: rawEncoding });
  } catch (error) {
    if (directory !== '' && ['ENOENT', 'ENOTDIR'].includes(systemCodeOf(error) ?? '')) return [];
    throw cannotRead(textOf(`${rawOfText(root)}/${directory}`), error);
  }
}
