// How this very program is started again: the same Node, the same program, and the flags that say where things are.
import { resolve } from 'node:path';
import process from 'node:process';
import type { GlobalFlags } from './flags.ts';

/** Node and the program, both with their whole paths. */
export function ownProgram(node = process.execPath): string[] {
  return [node, resolve(process.argv[1] ?? '')];
}

/** Paths become absolute: whoever starts it may do so anywhere. */
export function flagsAgain(flags: GlobalFlags, cwd = process.cwd()): string[] {
  const { config, backupDir, logFile, wait } = flags;
  const path = (flag: string, value: string | undefined) => (value ? [flag, resolve(cwd, value)] : []);
  return [
    ...path('--config', config),
    ...path('--backup-dir', backupDir),
    ...path('--log-file', logFile),
    ...(wait === undefined ? [] : ['--wait', wait]),
    ...(flags.quiet ? ['--quiet'] : []),
    ...(flags.verbose ? ['--verbose'] : []),
    ...(flags.json ? ['--json'] : []),
    ...(flags.events ? ['--events'] : []),
    ...(flags.color === undefined ? [] : [flags.color ? '--color' : '--no-color']),
  ];
}
