// Programs of the user's around a run and around each store: `before`, `after`, and `on_error`. They are told what happened in
// variables, and never a secret. Only the configuration says what they are, as a list of arguments.
import process from 'node:process';
import type { CommandLine, Hooks } from '../config/types.ts';
import { exitCodeOf, messageOf, PkbackupError } from '../errors.ts';
import { type ProgramEnd, runProgram } from '../process.ts';
import { redactSecrets, withoutSecrets } from '../secret.ts';
import type { Run } from './run.ts';
import { failureOf } from './user-programs.ts';

/** Each becomes the variable `PKBACKUP_<NAME>`. */
export type HookFacts = Readonly<Record<string, string | number | undefined>>;

export type HookName = 'before' | 'after' | 'on_error';

export interface HookOptions {
  readonly hooks: Hooks | undefined;
  /** Missing for those of the whole run. */
  readonly store?: string;
  readonly facts: HookFacts;
}

type HookRun = Pick<Run, 'emit' | 'signal'>;

/** A `before` hook that ends with it asks for nothing to be done, and that is no error: EX_TEMPFAIL of sysexits.h. */
const skipExitCode = 75;
/** After an interruption nobody waits long. */
const longestAfterAbortMs = 30_000;
const mostLines = 100;
const longestFact = 4000;

/**
 * Does `work` between the hooks: `after` runs whatever happened, `on_error` before it where `work` threw or `sum` says
 * `OUTCOME: 'failure'`. Undefined where the `before` hook asked for it to be skipped. A failure of the two is a warning.
 */
export async function withHooks<T>(
  run: HookRun,
  options: HookOptions,
  work: () => Promise<T>,
  sum: (result: T) => HookFacts,
): Promise<T | undefined> {
  const { hooks } = options;
  if (hooks === undefined) return work();
  let facts: HookFacts = { ...options.facts, OUTCOME: 'failure' };
  try {
    if (!(await isAllowed(run, hooks.before, options))) {
      facts = { ...facts, OUTCOME: 'skipped', EXIT_CODE: 0 };
      return undefined;
    }
    const result = await work();
    facts = { ...facts, ...sum(result) };
    return result;
  } catch (error) {
    facts = { ...facts, ERROR: messageOf(error), EXIT_CODE: exitCodeOf(error) };
    throw error;
  } finally {
    const ended = { ...options, facts };
    if (facts.OUTCOME === 'failure') await attempt(run, 'on_error', hooks.onError, ended);
    await attempt(run, 'after', hooks.after, ended);
  }
}

async function isAllowed(
  run: HookRun,
  command: CommandLine | undefined,
  options: HookOptions,
): Promise<boolean> {
  if (command === undefined) return true;
  const end = await runHook(run, 'before', command, options, run.signal);
  run.signal.throwIfAborted();
  if (end.exitCode === skipExitCode) return false;
  if (end.exitCode === 0) return true;
  throw new PkbackupError('backup_failed', `${about(options)}${failureOf('the before hook', command, end)}`, {
    hint: `nothing was backed up; with exit code ${skipExitCode} a before hook skips without an error`,
  });
}

async function attempt(
  run: HookRun,
  name: HookName,
  command: CommandLine | undefined,
  options: HookOptions,
): Promise<void> {
  if (command === undefined) return;
  const deadlineMs = run.signal.aborted
    ? Math.min(command.deadlineMs, longestAfterAbortMs)
    : command.deadlineMs;
  const end = await runHook(run, name, { ...command, deadlineMs }, options);
  if (end.exitCode === 0) return;
  const { store } = options;
  const message = failureOf(`the ${name} hook`, command, end);
  run.emit({ type: 'warning', message, ...(store === undefined ? {} : { store }) });
}

function runHook(
  { emit }: HookRun,
  name: HookName,
  { argv, cwd, deadlineMs }: CommandLine,
  { store, facts }: HookOptions,
  signal?: AbortSignal,
): Promise<ProgramEnd> {
  let lines = 0;
  return runProgram(argv, {
    cwd,
    deadlineMs,
    signal,
    environment: { ...withoutSecrets(process.env), ...variablesOf({ ...facts, HOOK: name }) },
    onLine: (line) => {
      lines += 1;
      if (lines > mostLines || line.trim() === '') return;
      emit({
        type: 'step',
        message: `${name} hook: ${line}`,
        ...(store === undefined ? {} : { store }),
      });
    },
  });
}

function variablesOf(facts: HookFacts): Record<string, string> {
  const entries = Object.entries(facts).flatMap(([name, value]) => {
    if (value === undefined) return [];
    const text = redactSecrets(String(value)).replaceAll('\0', '').slice(0, longestFact);
    return [[`PKBACKUP_${name}`, text]];
  });
  return Object.fromEntries(entries);
}

const about = ({ store }: HookOptions) => (store === undefined ? '' : `${store}: `);
