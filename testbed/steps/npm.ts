import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { run } from '../host/run.ts';

/** Installs npm packages, for Linux with glibc, into `dir/node_modules`; no script of theirs is run. */
export async function npmInstall(dir: string, packages: string[]): Promise<void> {
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, 'package.json'), '{ "private": true }\n');
  const quiet = ['--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error'];
  const target = ['--os=linux', '--libc=glibc', `--cpu=${process.arch}`];
  await run(
    'npm',
    ['install', '--prefix', dir, '--ignore-scripts', '--prefer-offline', ...quiet, ...target, ...packages],
    { cwd: dir },
  );
}
