// Small things that the tests of the byte path share.
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { encodeEntry, endOfArchive, padding, type TarEntry } from '../../src/archive/tar-format.ts';

/** A directory that is gone when the test has ended. */
export function makeTempDir(): string {
  const path = mkdtempSync(join(tmpdir(), 'pkbackup-test-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

export const never = (): AbortSignal => new AbortController().signal;

/** Runs a program as a user without rights, who may write to `directory`; what it prints. For tests that run as root. */
export function runAsNobody(directory: string, program: string): string {
  const nobody = 65_534;
  chmodSync(directory, 0o755);
  chownSync(directory, nobody, nobody);
  const source = fileURLToPath(new URL('../../src', import.meta.url));
  return execFileSync(process.execPath, ['--input-type=module', '-e', program.replaceAll('SRC', source)], {
    cwd: directory,
    uid: nobody,
    gid: nobody,
  }).toString();
}

export async function gather(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  // Each is good until the next one is asked for.
  for await (const chunk of chunks) all.push(Buffer.from(chunk));
  return Buffer.concat(all);
}

/** In chunks of a size that fits nothing. */
export async function* inChunks(bytes: Buffer, size = 10_007): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

export interface Piece extends Partial<Omit<TarEntry, 'path' | 'linkPath'>> {
  path: string;
  linkPath?: string;
  data?: string | Buffer;
}

export function makeTar(pieces: Piece[]): Buffer {
  const blocks = pieces.flatMap(({ path, data = '', linkPath, ...rest }) => {
    const bytes = Buffer.from(data);
    const entry: TarEntry = {
      type: path.endsWith('/') ? 'directory' : 'file',
      size: bytes.length,
      mode: path.endsWith('/') ? 0o755 : 0o644,
      uid: 0,
      gid: 0,
      mtime: 1_700_000_000,
      ...(linkPath === undefined ? {} : { linkPath: Buffer.from(linkPath) }),
      ...rest,
      path: Buffer.from(path),
    };
    return [encodeEntry(entry), bytes, padding(bytes.length)];
  });
  return Buffer.concat([...blocks, endOfArchive]);
}
