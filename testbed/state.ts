// Where the test bed keeps what it may throw away: downloads, half-built trees, the log of the engine it started.
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

export const projectRoot = dirname(import.meta.dirname);
export const stateDir = join(projectRoot, '.testbed');

/** A folder for downloads that outlives `down`, so that a rebuild downloads next to nothing. */
export async function cacheDir(name: string): Promise<string> {
  const dir = join(stateDir, 'cache', name);
  await mkdir(dir, { recursive: true });
  return dir;
}

const workRoot = join(stateDir, 'work');

/** A new folder that is gone when the block ends; `clearWork` takes what a killed run left. */
export async function workDir(name: string): Promise<AsyncDisposable & { path: string }> {
  await mkdir(workRoot, { recursive: true });
  const path = await mkdtemp(join(workRoot, `${name.replaceAll(/[^\w.-]/g, '-')}-`));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export async function clearWork(): Promise<void> {
  await rm(workRoot, { recursive: true, force: true });
}
