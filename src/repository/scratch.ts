// Private directories for what is on its way, in the repository's own file system. Each says whose it is, so that those of
// dead processes can be told and removed.
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { exists, isAlive, type Owner, thisProcess } from '../owner.ts';
import { isNotWritable } from './writable.ts';

const ownerName = 'owner.json';
const workName = 'work';
const prefix = 'run-';
/** Without an owner it was made a moment ago, or its maker died in that moment. */
const ownerlessMs = 3600 * 1000;

export function scratchRootOf(directory: string): string {
  return join(directory, '.pkbackup', 'scratch');
}

/** Among the system's temporary files where the repository may only be read: a backup in it can be verified all the same. */
export async function makeScratch(directory: string): Promise<{ path: string } & AsyncDisposable> {
  const own = await makeOwn(directory).catch((error: unknown) => {
    if (isNotWritable(error)) return mkdtemp(join(tmpdir(), 'pkbackup-'));
    throw error;
  });
  await writeFile(join(own, ownerName), JSON.stringify(thisProcess()), { mode: 0o600 });
  const path = join(own, workName);
  await mkdir(path, { mode: 0o700 });
  // What cannot be removed now is found when this process is dead; it must not hide what happened here.
  return { path, [Symbol.asyncDispose]: () => removeTree(own).catch(() => undefined) };
}

async function makeOwn(directory: string): Promise<string> {
  const root = scratchRootOf(directory);
  await mkdir(root, { recursive: true, mode: 0o700 });
  return mkdtemp(join(root, `${prefix}${process.pid}-`));
}

/** Those whose process is dead. */
export async function findDeadScratch(directory: string): Promise<string[]> {
  const root = scratchRootOf(directory);
  // Not through a link that somebody else has put there, and nothing that we do not make.
  for (const path of [dirname(root), root]) if (!(await isOwnDirectory(path))) return [];
  const names = (await readdir(root)).filter((name) => name.startsWith(prefix));
  const dead = await Promise.all(names.map((name) => isDead(join(root, name))));
  return names.filter((_, index) => dead[index]).map((name) => join(root, name));
}

export function removeTree(path: string): Promise<void> {
  return rm(path, { recursive: true, force: true, maxRetries: 3 });
}

async function isOwnDirectory(path: string): Promise<boolean> {
  const stats = await lstat(path).catch(() => undefined);
  return stats?.isDirectory() === true && (process.getuid === undefined || stats.uid === process.getuid());
}

async function isDead(path: string): Promise<boolean> {
  if (!(await isOwnDirectory(path))) return false;
  try {
    const owner = JSON.parse(await readFile(join(path, ownerName), 'utf8')) as Partial<Owner>;
    if (typeof owner.pid === 'number' && typeof owner.host === 'string' && typeof owner.since === 'number') {
      return !isAlive(owner as Owner);
    }
  } catch {
    // Told by its age below.
  }
  const pid = Number(/run-(\d+)-[^/\\]*$/.exec(path)?.[1] ?? Number.NaN);
  if (Number.isInteger(pid)) return !exists(pid);
  const made = await stat(path).catch(() => undefined);
  return made !== undefined && Date.now() - made.mtimeMs > ownerlessMs;
}
