// The cli layer: argv to options, wiring, prompts, exit codes. Nobody imports it; it may import everything, and loads
// what a command needs only when that command runs. This file is all that `pkbackup --version` loads.
import process from 'node:process';
import { version } from '../version.ts';

/** Runs the program and ends the process. */
export async function main(argv: readonly string[]): Promise<void> {
  const lost = watchForLostOutput();
  const exitCode = await dispatch(argv);
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  process.exit(exitCode === 0 && lost.isAnswerLost ? 1 : exitCode);
}

async function dispatch(argv: readonly string[]): Promise<number> {
  const [first] = argv;
  if (argv.length === 1 && (first === '--version' || first === '-V')) {
    process.stdout.write(`${version}\n`);
    return 0;
  }
  const { runProgram } = await import('./program.ts');
  return runProgram(argv);
}

/**
 * A reader that goes away (`pkbackup list | head -1`) is no crash, and must not keep a store from being let go. Any
 * other failure to write the answer (a full disk) is a failure of the command.
 */
function watchForLostOutput(): { isAnswerLost: boolean } {
  const lost = { isAnswerLost: false };
  process.stderr.on('error', () => {});
  process.stdout.on('error', (error) => {
    if ('code' in error && error.code === 'EPIPE') return;
    if (!lost.isAnswerLost)
      process.stderr.write(`error: the answer could not be written: ${error.message}\n`);
    lost.isAnswerLost = true;
  });
  return lost;
}

/** Pipes are asynchronous on some systems, and `process.exit` does not wait for them. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write('', () => resolve());
  });
}
