// The real program, as people run it: built and laid out as it is published, with arguments, in a directory of its own.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { afterAll, inject } from 'vitest';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const made: string[] = [];
afterAll(() => {
  for (const directory of made) rmSync(directory, { recursive: true, force: true });
});

/** As it lies in the clone. */
export const shimOfSources = join(root, 'bin', 'pkbackup.js');
/** As it is published. */
export const shim = inject('shim');

export interface Ran {
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  readonly input?: string;
}

/** Without a terminal, without Docker, and without what the environment of the tests may hold. */
export async function pkbackup(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { exitCode, stdout, stderr } = await execa(process.execPath, [shim, ...args], {
    cwd: options.cwd ?? makeDirectory(),
    env: { ...cleanEnvironment(), DOCKER_HOST: deadDocker, ...options.env },
    extendEnv: false,
    input: options.input ?? '',
    reject: false,
  });
  return { exitCode, stdout, stderr };
}

export const deadDocker = 'unix:///nonexistent/docker.sock';

export function cleanEnvironment(): Record<string, string> {
  const kept = ['PATH', 'HOME', 'TMPDIR', 'SystemRoot', 'TEMP', 'USERPROFILE'];
  return Object.fromEntries(kept.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}

/** A directory of its own, with these files in it. */
export function makeDirectory(files: Readonly<Record<string, string>> = {}): string {
  const directory = mkdtempSync(join(tmpdir(), 'pkbackup-cli-'));
  made.push(directory);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  return directory;
}

export const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');
