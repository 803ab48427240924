// The program on a terminal, which `script` (util-linux) gives it: only where that is there.
import { execa } from 'execa';
import { cleanEnvironment, shim } from './program.ts';

/** Types each text when the screen shows what it waits for. */
export async function onTerminal(
  args: readonly string[],
  cwd: string,
  typed: readonly (readonly [waitFor: string, text: string])[] = [],
  env: Record<string, string> = {},
): Promise<{ exitCode: number | undefined; screen: string }> {
  const command = [process.execPath, shim, ...args].map((word) => `'${word}'`).join(' ');
  const child = execa('script', ['-qec', `stty cols 100; ${command}`, '/dev/null'], {
    cwd,
    env: { ...cleanEnvironment(), TERM: 'xterm', ...env },
    extendEnv: false,
    reject: false,
    all: true,
  });
  let screen = '';
  const waiting = [...typed];
  child.all.on('data', (chunk: Buffer) => {
    screen += chunk.toString();
    const [next] = waiting;
    if (next === undefined || !screen.includes(next[0])) return;
    waiting.shift();
    child.stdin.write(next[1]);
  });
  const { exitCode } = await child;
  return { exitCode, screen };
}
