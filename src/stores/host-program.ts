// Tools of this host with a small output: run to their end, however they end, and for no longer than they may.
import { basename } from 'node:path';
import type { Finished } from '../docker/index.ts';
import { PkbackupError } from '../errors.ts';
import { streamProgram } from '../process.ts';

const smallOutputBytes = 16 * 1024 * 1024;

export interface HostProgramOptions {
  /** All that it gets. */
  readonly environment: Readonly<Record<string, string>>;
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/** Whatever the exit code, which is 127 where there is no such program. Throws `failed` for one that is late. */
export async function runHostProgram(
  argv: readonly [string, ...string[]],
  { environment, deadlineMs, signal }: HostProgramOptions,
): Promise<Finished> {
  const name = basename(argv[0]);
  const late = AbortSignal.timeout(deadlineMs);
  const { stdout, ended } = streamProgram(argv, { environment, signal: AbortSignal.any([signal, late]) });
  const parts: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of stdout) {
      size += chunk.length;
      if (size > smallOutputBytes)
        throw new PkbackupError('failed', `run "${name}": the output is over 16 MB`);
      parts.push(chunk);
    }
  } catch (error) {
    if (!late.aborted || signal.aborted) throw error;
    throw new PkbackupError('failed', `run "${name}": it has not ended after ${deadlineMs / 1000} s`);
  }
  const { how, exitCode, message, stderr } = await ended;
  const isMissing = how === 'not-started';
  return {
    exitCode: isMissing ? 127 : (exitCode ?? 1),
    stdout: Buffer.concat(parts),
    stderr: stderr || message,
  };
}
