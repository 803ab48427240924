// The `.env` files: variables for the config file and for passwords, in the places where compose would look for them.
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import type { Environment } from './substitute.ts';
import { readIfThere } from './text-files.ts';

export interface EnvFile {
  readonly directory: string;
  readonly values: Environment;
}

const composeFileNames = ['compose.yaml', 'compose.yml', 'docker-compose.yaml', 'docker-compose.yml'];

/** The nearest first: that beside the config file, then that beside the compose file in the current directory. */
export async function readEnvFiles(directory: string, cwd: string): Promise<EnvFile[]> {
  const near = await readEnvFile(directory, cwd);
  if (directory === cwd || !(await hasOneOf(cwd, composeFileNames))) return [near];
  return [near, await readEnvFile(cwd, cwd)];
}

/** The process's own variables first, then the nearest file. */
export function environmentOf(files: readonly EnvFile[], processEnvironment: Environment): Environment {
  return Object.assign({}, ...files.map(({ values }) => values).reverse(), processEnvironment);
}

async function readEnvFile(directory: string, cwd: string): Promise<EnvFile> {
  const text = await readIfThere(join(directory, '.env'), cwd);
  return { directory, values: text === undefined ? {} : parseEnv(text) };
}

async function hasOneOf(directory: string, names: readonly string[]): Promise<boolean> {
  const found = await Promise.all(
    names.map((name) =>
      access(join(directory, name)).then(
        () => true,
        () => false,
      ),
    ),
  );
  return found.includes(true);
}
