// An array of memories in JSON, as it is in files that are named like archives: a file for each, in `memories/`.
import { stat } from 'node:fs/promises';
import { attributesOf } from '../archive/pack-parts.ts';
import { type ReadOptions, readUnpacked } from '../archive/read-archive.ts';
import { encodeEntry, endOfArchive, padding } from '../archive/tar-format.ts';
import { messageOf, PkbackupError } from '../errors.ts';

const longestBytes = 256 * 1024 * 1024;
const fileName = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,199}$/;

export async function* readMemories(path: string, options: ReadOptions): AsyncGenerator<Buffer> {
  const memories = parse(path, await readText(path, options));
  const { mode: _, ...attributes } = attributesOf(await stat(path));
  const directory = { ...attributes, mode: 0o755, type: 'directory', size: 0 } as const;
  yield encodeEntry({ ...directory, path: Buffer.from('memories/') });
  const taken = new Set<string>();
  for (const [index, memory] of memories.entries()) {
    const name = nameFor(memory, index, taken);
    const bytes = Buffer.from(`${JSON.stringify(memory, null, 2)}\n`);
    const entry = { ...attributes, mode: 0o644, type: 'file', size: bytes.length } as const;
    yield encodeEntry({ ...entry, path: Buffer.from(`memories/${name}`) });
    yield bytes;
    yield padding(bytes.length);
  }
  yield endOfArchive;
}

async function readText(path: string, options: ReadOptions): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of readUnpacked(path, options)) {
    options.signal.throwIfAborted();
    parts.push(chunk);
    length += chunk.length;
    if (length > longestBytes) throw bad(path, `it is longer than ${longestBytes} bytes`);
  }
  return Buffer.concat(parts)
    .toString('utf8')
    .replace(/^\uFEFF/, '');
}

function parse(path: string, text: string): object[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw bad(path, `it is not JSON: ${messageOf(error)}`);
  }
  if (!Array.isArray(json)) throw bad(path, 'it is not an array of memories');
  const index = json.findIndex((each) => typeof each !== 'object' || each === null || Array.isArray(each));
  if (index !== -1) throw bad(path, `its entry ${index + 1} is no memory`);
  return json;
}

/** By its id, where that can be the name of a file on every system; else by its place. */
function nameFor(memory: object, index: number, taken: Set<string>): string {
  const id = 'id' in memory ? String(memory.id) : '';
  const isFree = fileName.test(id) && !id.endsWith('.') && !taken.has(id.toLowerCase());
  const stem = isFree ? id : `memory-${String(index + 1).padStart(6, '0')}`;
  if (taken.has(stem.toLowerCase())) return `${stem}-${index + 1}.json`;
  taken.add(stem.toLowerCase());
  return `${stem}.json`;
}

function bad(path: string, why: string): PkbackupError {
  return new PkbackupError('bad_backup', `"${path}" is damaged: ${why}`);
}
