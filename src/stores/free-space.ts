// Whether what is restored fits beside the present data: a file system that fills up while it is staged would take the
// running store with it.
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemCodeOf } from '../errors.ts';
import type { BackupFacts } from './store.ts';

/** A file takes whole blocks, and its name takes some too. */
const bytesPerEntry = 4096;
const smallestMargin = 8 * 1024 * 1024;

/** For what a tar of `rawSizeBytes` unpacks to, with a margin for those who write meanwhile. */
export function roomFor({ rawSizeBytes, entries = 0 }: Pick<BackupFacts, 'rawSizeBytes' | 'entries'>): {
  neededBytes?: number;
} {
  if (rawSizeBytes === undefined) return {};
  return { neededBytes: rawSizeBytes + entries * bytesPerEntry + marginFor(rawSizeBytes) };
}

/** A twentieth, and never nearly nothing. */
export function marginFor(bytes: number): number {
  return Math.max(smallestMargin, Math.ceil(bytes / 20));
}

/** Undefined where it fits, or where one of the two is not known. */
export function littleSpace(
  neededBytes: number | undefined,
  freeBytes: number | undefined,
): string | undefined {
  if (neededBytes === undefined || freeBytes === undefined || neededBytes <= freeBytes) return undefined;
  return `about ${megabytes(neededBytes)} are needed beside the present data, ${megabytes(freeBytes)} are free`;
}

export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

/** Where the nearest directory is that exists; undefined where the system does not say. */
export async function freeBytesAt(path: string): Promise<number | undefined> {
  for (let at = path; ; at = dirname(at)) {
    try {
      const { bavail, bsize } = await statfs(at);
      return bavail * bsize;
    } catch (error) {
      if (!['ENOENT', 'ENOTDIR'].includes(systemCodeOf(error) ?? '') || at === dirname(at)) return undefined;
    }
  }
}

export const freeSpaceCommand = (path: string) => ['df', '-P', '-k', path] as const;

export interface Disk {
  readonly totalBytes: number;
  readonly freeBytes: number;
}

/** Of what `freeSpaceCommand` says; undefined where it cannot be read. */
export function diskIn({ exitCode, stdout }: { exitCode: number; stdout: string }): Disk | undefined {
  const found = /^\S.*?\s+(\d+)\s+\d+\s+(\d+)\s+\d+%/m.exec(stdout);
  if (exitCode !== 0 || !found) return undefined;
  return { totalBytes: Number(found[1]) * 1024, freeBytes: Number(found[2]) * 1024 };
}
