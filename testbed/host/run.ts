import { execa } from 'execa';
import { TestbedError } from '../errors.ts';

export interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
}

const shownLines = 15;

/** Runs a program and returns what it printed on stdout; a failure shows the last lines of all it printed. */
export async function run(command: string, args: string[], options: RunOptions = {}): Promise<string> {
  const result = await execa(command, args, { ...options, all: true, reject: false, stdin: 'ignore' });
  if (!result.failed) return result.stdout;
  throw new TestbedError(
    [`"${command} ${args[0] ?? ''}" ${howItEnded(result)}`, ...lastLines(result.all)].join('\n'),
    'the lines above are the last ones it printed; run the command again once the cause is gone',
  );
}

interface Ending {
  exitCode?: number | undefined;
  signal?: string | undefined;
  code?: string | undefined;
}

function howItEnded({ exitCode, signal, code }: Ending): string {
  if (code === 'ENOENT') return 'is not installed';
  return signal ? `was ended by ${signal}` : `failed with exit code ${exitCode ?? 'none'}`;
}

export async function isOnPath(command: string): Promise<boolean> {
  const { exitCode } = await execa('which', [command], { reject: false });
  return exitCode === 0;
}

export function lastLines(text: string): string[] {
  return text
    .trimEnd()
    .split('\n')
    .slice(-shownLines)
    .map((line) => `  ${line}`);
}
