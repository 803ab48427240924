// pkbackup guard: a way back before something risky is done. The stores are proved well, backed up and verified; what their
// containers are is kept; the user's command runs; then each store is asked whether all is there. Where it is not, all goes
// back to how it was, or waits for a person, with the way back held open.
import { randomBytes } from 'node:crypto';
import type { ConfiguredStore } from '../config/types.ts';
import type { Keeper } from '../docker/index.ts';
import { messageOf, PkbackupError } from '../errors.ts';
import { ownerOf, thisProcess } from '../owner.ts';
import { type ProgramEnd, runProgram } from '../process.ts';
import type { Backup, GuardRecord, RollbackMode } from '../repository/index.ts';
import { backup } from './backup.ts';
import { drillBackups } from './drill.ts';
import { checkGuarded } from './guard-check.ts';
import { endGuardOrWarn, pinBackups } from './guard-end.ts';
import { beginGuardJournal, type GuardJournal, namesOf, refuseGuarded } from './guard-journal.ts';
import { containersToGuard, type Guarded, refuseNoWayBack, refuseUnwell } from './guard-preflight.ts';
import { goBack } from './guard-rollback.ts';
import { guardedStore } from './guarded-store.ts';
import type { RestoreResult } from './restore.ts';
import { lockStore, type Run, storeNamed } from './run.ts';
import { verify } from './verify.ts';

export interface GuardOptions {
  readonly stores: readonly ConfiguredStore[];
  readonly command: readonly string[];
  /** All that the command gets; no more than the user's own. */
  readonly commandEnvironment: Readonly<Record<string, string | undefined>>;
  readonly onOutput: (line: string) => void;
  /** For the command; none where it is missing. */
  readonly deadlineMs?: number;
  readonly rollback: RollbackMode;
  /** How much less than the backup has may be there afterwards. */
  readonly mayShrinkPercent: number;
  /** By store: would the backup come up under this image? Asked before the command. */
  readonly drillImages: ReadonlyMap<string, string>;
  /** Asked where something is wrong and `rollback` is `ask`. */
  readonly decide: (findings: readonly string[]) => Promise<boolean>;
}

export type GuardOutcome = 'fine' | 'not-run' | 'rolled-back' | 'waiting';

export interface GuardResult {
  readonly id: string;
  readonly outcome: GuardOutcome;
  readonly command: Pick<ProgramEnd, 'how' | 'exitCode' | 'message'>;
  readonly backups: readonly Backup[];
  /** What was wrong after the command, or is wrong now. */
  readonly findings: readonly string[];
  readonly restored: readonly RestoreResult[];
  readonly durationMs: number;
}

/** Longer than anybody waits; timers take no more. */
const foreverMs = 2 ** 31 - 1;
const commandGraceMs = 30_000;
const longestLine = 65_536;

/** Throws what goes wrong before the command is run: then nothing was changed. */
export async function guard(run: Run, options: GuardOptions): Promise<GuardResult> {
  const startedMs = Date.now();
  await refuseGuarded(
    run,
    options.stores.map(({ name }) => name),
  );
  const looks = await refuseUnwell(run, options.stores);
  const guarded = await containersToGuard(run, options.stores, looks);
  const backups = await prepareWayBack(run, options);
  const journal = beginGuardJournal(run, recordOf(options, backups, guarded));
  const { command, findings } = await withWayBack(run, journal, guarded, options);
  const settled = await settle(run, journal, { command, findings, options });
  return { id: journal.record.id, command, backups, durationMs: Date.now() - startedMs, ...settled };
}

/** Backups of all stores that are proved, that there is room to restore, and that come up under the new images. */
async function prepareWayBack(run: Run, options: GuardOptions): Promise<Backup[]> {
  const { stores, drillImages } = options;
  const { stores: results } = await backup(run, { stores });
  const backups: Backup[] = [];
  for (const result of results) {
    if (!result.ok) throw result.error;
    if (!result.backup) {
      throw new PkbackupError(
        'backup_failed',
        `${result.store.name}: its before hook asked to skip the backup`,
        {
          hint: 'a guard is nothing without one; nothing was run',
        },
      );
    }
    backups.push(result.backup);
  }
  const stems = backups.map(({ stem }) => stem);
  const verified = await verify(run, { backups: stems, level: 'content' });
  const [bad] = verified.backups.filter(({ ok }) => !ok);
  if (bad) throw new PkbackupError('bad_backup', `"${bad.name}" is not good: ${bad.findings.join('; ')}`);
  for (const made of backups) {
    const store = storeNamed(stores, made.store);
    if (store) await refuseNoWayBack(run, store, made);
    const image = drillImages.get(made.store);
    if (image !== undefined) await refuseOtherImage(run, stores, made, image);
  }
  return backups;
}

async function refuseOtherImage(
  run: Run,
  stores: readonly ConfiguredStore[],
  made: Backup,
  image: string,
): Promise<void> {
  const { drills } = await drillBackups(run, [made], { stores, image });
  for (const drilled of drills) {
    if (drilled.ok) continue;
    if (drilled.error) throw drilled.error;
    throw new PkbackupError(
      'damaged',
      `"${made.stem}" does not come up under "${image}": ${drilled.findings.join('; ')}`,
      { hint: 'nothing was run; the store is as it was' },
    );
  }
}

function recordOf(
  { stores, command, rollback, mayShrinkPercent }: GuardOptions,
  backups: readonly Backup[],
  guarded: readonly Guarded[],
): GuardRecord {
  const id = randomBytes(4).toString('hex');
  return {
    type: 'pkbackup-guard',
    version: 1,
    owner: { ...thisProcess() },
    id,
    program: command[0] ?? '',
    rollback,
    mayShrinkPercent,
    stores: backups.flatMap((made) => {
      const store = storeNamed(stores, made.store);
      return store ? [guardedStore(store, made)] : [];
    }),
    containers: guarded.map(({ container, isServer }, number) => ({
      keeper: `pkbackup-guard-${id}-${number}`,
      id: container.id,
      name: container.name,
      isUp: ['running', 'paused', 'restarting'].includes(container.state),
      isServer,
    })),
    step: 'keeping',
    findings: [],
  };
}

interface Judged {
  readonly command: ProgramEnd;
  readonly findings: string[];
}

/** Nothing is left where it throws: the command was not run. */
async function withWayBack(
  run: Run,
  journal: GuardJournal,
  guarded: readonly Guarded[],
  options: GuardOptions,
): Promise<Judged> {
  try {
    await journal.note({ step: 'keeping' });
    await pinBackups(run, journal);
    const keepers = await keepAll(run, journal, guarded);
    // Another run would stop what is being looked at; a restore takes the locks itself.
    await using held = new AsyncDisposableStack();
    for (const { store } of journal.record.stores.toSorted((a, b) => (a.store < b.store ? -1 : 1)))
      held.use(await lockStore(run, store));
    run.signal.throwIfAborted();
    await journal.note({ step: 'command' });
    const command = await runCommand(run, journal, options);
    // What the command has pruned is made again from what is known here.
    for (const keeper of keepers) await keeper.remake().catch((error: unknown) => warnOfKeeper(run, error));
    return { command, findings: await judge(run, journal, command) };
  } catch (error) {
    if (journal.record.step === 'keeping') {
      await endGuardOrWarn(undisturbed(run), journal);
    }
    throw error;
  }
}

async function keepAll(run: Run, { record }: GuardJournal, guarded: readonly Guarded[]): Promise<Keeper[]> {
  const keepers: Keeper[] = [];
  for (const [number, { container }] of guarded.entries()) {
    const docker = await run.docker();
    keepers.push(await docker.keep(container, { guardId: record.id, number, signal: run.signal }));
  }
  return keepers;
}

async function runCommand(run: Run, journal: GuardJournal, options: GuardOptions): Promise<ProgramEnd> {
  const { command, commandEnvironment, onOutput, deadlineMs = foreverMs } = options;
  run.emit({ type: 'step', message: `the way back is open; running "${command[0]}"` });
  let noted: Promise<void> | undefined;
  const end = await runProgram(command, {
    environment: { ...commandEnvironment, PKBACKUP_GUARD: journal.record.id },
    deadlineMs,
    graceMs: commandGraceMs,
    longestLine,
    signal: run.signal,
    abortSignal: () => (codeOf(run.signal.reason) === 'interrupted' ? 'SIGINT' : 'SIGTERM'),
    onLine: onOutput,
    onStart: (pid) => {
      noted = tryToNote(run, journal, { command: { ...ownerOf(pid) } });
    },
  });
  await noted;
  return end;
}

/** The command has been started, and what it has done is looked at whatever the journal says. */
function tryToNote(run: Run, journal: GuardJournal, change: Partial<GuardRecord>): Promise<void> {
  return journal.note(change).catch((error: unknown) => {
    const message = `the journal of the guard could not be written: ${messageOf(error)}`;
    const hint = 'should pkbackup be killed now, pkbackup recover knows less of how far it came';
    run.emit({ type: 'warning', message, hint });
  });
}

const codeOf = (reason: unknown) => (reason instanceof PkbackupError ? reason.code : undefined);

/** An interruption ends the command and the looking; what becomes of it is decided all the same. */
async function judge(run: Run, journal: GuardJournal, command: ProgramEnd): Promise<string[]> {
  const program = `"${journal.record.program}"`;
  if (command.how === 'not-started') return [`the command ${program} ${command.message}`];
  await tryToNote(run, journal, { step: 'checking' });
  if (command.exitCode !== 0) return [`the command ${program} failed: ${command.message}`];
  run.emit({ type: 'step', message: `the command has ended; asking ${namesOf(journal.record)}` });
  try {
    return await checkGuarded(run, journal.record);
  } catch (error) {
    return [`it was not looked at to the end: ${messageOf(error)}`];
  }
}

type Settled = Pick<GuardResult, 'outcome' | 'findings' | 'restored'>;

async function settle(
  run: Run,
  journal: GuardJournal,
  { command, findings, options }: { command: ProgramEnd; findings: string[]; options: GuardOptions },
): Promise<Settled> {
  const calm = undisturbed(run);
  if (findings.length === 0 || command.how === 'not-started') {
    await endGuardOrWarn(calm, journal);
    return { outcome: findings.length === 0 ? 'fine' : 'not-run', findings, restored: [] };
  }
  for (const message of findings) run.emit({ type: 'warning', message });
  // What is to be done by itself is never noted as waiting: a crash must not make it wait.
  if (options.rollback !== 'auto') await tryToNote(run, journal, { step: 'waiting', findings });
  if (!(await isToGoBack(run, findings, options))) return { outcome: 'waiting', findings, restored: [] };
  return goBack(calm, journal, findings);
}

async function isToGoBack(
  { signal }: Run,
  findings: readonly string[],
  { rollback, decide }: GuardOptions,
): Promise<boolean> {
  if (rollback === 'auto') return true;
  if (rollback === 'never' || signal.aborted) return false;
  // Who interrupts the question has not answered it.
  return decide(findings).catch(() => false);
}

/** What has begun to put things right goes on after an interruption. */
function undisturbed(run: Run): Run {
  return { ...run, signal: new AbortController().signal };
}

function warnOfKeeper({ emit }: Run, error: unknown): void {
  const message = `a container cannot be kept any more: ${messageOf(error)}`;
  emit({ type: 'warning', message, hint: 'should it be needed, the old image must be pulled again' });
}
