// What the config file came to when it was last checked, for `list`, which needs no more of it: reading YAML and checking it
// takes longer than all else that `list` does. It counts only for the very text that was found to be right, so a mistake
// is told as ever; a text that variables go into is checked each time. It lies beside the compiled code, which the shim keeps
// only where nobody else may write.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { getCompileCacheDir } from 'node:module';
import { join } from 'node:path';
import process from 'node:process';
import { version } from '../version.ts';
import type { Kind } from '../words.ts';

export interface KnownConfig {
  /** Absolute. */
  readonly repository?: string;
  readonly stores: readonly { readonly name: string; readonly kind: Kind }[];
}

export interface ConfigText {
  readonly path: string;
  readonly text: string;
}

export function recallConfig(file: ConfigText): KnownConfig | undefined {
  const place = placeOf(file);
  if (place === undefined) return undefined;
  try {
    const { print, known } = JSON.parse(readFileSync(place, 'utf8')) as { print: string; known: KnownConfig };
    return print === printOf(file) ? known : undefined;
  } catch {
    return undefined;
  }
}

/** Never throws: the next `list` is slower, and as right. */
export function rememberConfig(file: ConfigText, { repository, stores }: KnownConfig): void {
  const place = placeOf(file);
  if (place === undefined) return;
  const known: KnownConfig = {
    stores: stores.map(({ name, kind }) => ({ name, kind })),
    ...(repository !== undefined && { repository }),
  };
  const partial = `${place}.${process.pid}`;
  try {
    writeFileSync(partial, JSON.stringify({ print: printOf(file), known }), { mode: 0o600, flag: 'wx' });
    renameSync(partial, place);
  } catch {
    // A full disk, perhaps.
  }
}

/** One file for each config file. */
function placeOf({ path, text }: ConfigText): string | undefined {
  const directory = getCompileCacheDir();
  if (directory === undefined || text.includes('$')) return undefined;
  return join(directory, `config-${hashOf(path, 0)}.json`);
}

/** Not of the secret kind: who could make another text of the same print could write that text. */
function printOf({ path, text }: ConfigText): string {
  const all = [version, path, text].join('\n');
  return [all.length, hashOf(all, 0), hashOf(all, 1), hashOf(all, 2)].join(' ');
}

/** FNV-1a: loading `node:crypto` takes longer than all of this. */
function hashOf(text: string, seed: number): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}
