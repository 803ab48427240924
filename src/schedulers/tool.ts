// The programs of the schedulers: argument lists, no shell, bytes as they are.
import { execFile } from 'node:child_process';
import { messageOf, PkbackupError, systemCodeOf } from '../errors.ts';
import type { Place } from './index.ts';

export interface ToolEnd {
  readonly exitCode: number;
  /** Bytes as characters: a crontab may hold text of any encoding, and all of it must come back as it was. */
  readonly stdout: string;
  readonly stderr: string;
}

const deadlineMs = 60_000;
const mostBytes = 16 * 1024 * 1024;

/** Throws `not_found` where there is no such program; whatever its exit code is, is for the caller. */
export function runTool(
  program: string,
  args: readonly string[],
  { environment }: Pick<Place, 'environment'>,
): Promise<ToolEnd> {
  const options = {
    env: { ...environment, LC_ALL: 'C' },
    encoding: 'latin1' as const,
    timeout: deadlineMs,
    maxBuffer: mostBytes,
    windowsHide: true,
  };
  return new Promise((resolve, reject) => {
    execFile(program, args, options, (error, stdout, stderr) => {
      if (!error || typeof error.code === 'number')
        return resolve({ exitCode: Number(error?.code ?? 0), stdout, stderr });
      if (systemCodeOf(error) === 'ENOENT')
        return reject(new PkbackupError('not_found', `there is no program "${program}" here`));
      reject(new PkbackupError('failed', `${program} ${args.join(' ')}: ${messageOf(error)}`));
    });
  });
}

/** Throws `failed` where it did not end well. */
export async function demandTool(
  program: string,
  args: readonly string[],
  place: Pick<Place, 'environment'>,
  hint?: string,
): Promise<string> {
  const { exitCode, stdout, stderr } = await runTool(program, args, place).catch((error: unknown) => {
    return missingTool(error, hint);
  });
  if (exitCode === 0) return stdout;
  throw toolError(program, args, { exitCode, stdout, stderr }, hint);
}

/** Throws `failed` with what to do without it. */
export function missingTool(error: unknown, hint: string | undefined): never {
  if (!(error instanceof PkbackupError) || error.code !== 'not_found') throw error;
  throw new PkbackupError('failed', error.message, hint === undefined ? {} : { hint });
}

export function toolError(
  program: string,
  args: readonly string[],
  { exitCode, stdout, stderr }: ToolEnd,
  hint?: string,
): PkbackupError {
  const said = (stderr.trim() || stdout.trim()).replaceAll(/\s+/g, ' ').slice(0, 500);
  const message = `"${[program, ...args].join(' ')}" ended with exit code ${exitCode}: ${said}`;
  return new PkbackupError('failed', message, hint === undefined ? {} : { hint });
}
