// Whether a process of this host holds a lock on a file, as servers do on their data as long as they run. Linux tells it of
// every process, whoever asks.
import { readFile, stat } from 'node:fs/promises';
import { systemCodeOf } from '../errors.ts';

/** Undefined where the system does not say it; false where there is no such file. */
export async function isLocked(path: string): Promise<boolean | undefined> {
  const [table, file] = await Promise.all([
    readFile('/proc/locks', 'utf8').catch(() => undefined),
    stat(path, { bigint: true }).catch((error: unknown) => {
      if (systemCodeOf(error) === 'ENOENT') return undefined;
      throw error;
    }),
  ]);
  if (!file) return false;
  // `1: POSIX  ADVISORY  WRITE 4711 fd:01:131081 0 EOF`. By the inode alone: on file systems in layers the device is another.
  return table?.split('\n').some((line) => line.includes(`:${file.ino} `) && !line.includes('->'));
}
