// What restores on this host need beside `node:fs`. Making a fifo and flushing a whole file system at once is not in
// Node: on POSIX programs of the base system do it, and where one is missing the caller goes on without.
import { execFile } from 'node:child_process';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = (program: string, args: string[]) => promisify(execFile)(program, args);

/** Makes a fifo at `path`, by way of a name in `directory`; false where this host has none. */
export async function makeFifo(directory: string, path: Buffer | string): Promise<boolean> {
  if (process.platform === 'win32') return false;
  // Arguments are text, names are bytes: so it is made under a plain name first.
  const plain = join(directory, `.pkbackup-fifo-${process.pid}`);
  try {
    await run('mkfifo', ['-m', '600', '--', plain]);
  } catch {
    return false;
  }
  await rename(plain, path);
  return true;
}

/** Makes everything on the file system of `directory` durable; false where this host cannot. */
export async function flushFileSystem(directory: string): Promise<boolean> {
  if (process.platform === 'win32') return false;
  const attempts = process.platform === 'linux' ? [['-f', directory], []] : [[]];
  for (const options of attempts) {
    try {
      await run('sync', options);
      return true;
    } catch {}
  }
  return false;
}
