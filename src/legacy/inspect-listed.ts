// What can be checked of a file from which nothing can be restored. Findings are data.
import { readFile, stat } from 'node:fs/promises';
import { messageOf } from '../errors.ts';
import type { Listed } from './old-file.ts';
import { decodeText } from './text.ts';

const longestBytes = 512 * 1024 * 1024;

export async function inspectListed(path: string, listed: Listed): Promise<string[]> {
  if (listed.check === 'manifest') return [...(listed.findings ?? [])];
  // Whoever asks whether it is good must not hear that it is.
  if (listed.check === 'none') return [listed.reason];
  try {
    if ((await stat(path)).size > longestBytes) return [];
    JSON.parse(decodeText(await readFile(path)));
    return [];
  } catch (error) {
    return [`it is not JSON: ${messageOf(error)}`];
  }
}
