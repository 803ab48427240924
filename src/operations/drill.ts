// pkbackup drill: would this backup come back? It is restored into a throwaway place by the very restore that people would
// use, served there, asked the same questions as at the backup, and removed. Nothing here touches a live store.
import type { ConfiguredStore } from '../config/types.ts';
import { EngineStatusError } from '../docker/index.ts';
import { messageOf, PkbackupError } from '../errors.ts';
import { didYouMean } from '../near.ts';
import { runProgram } from '../process.ts';
import type { Backup, Check } from '../repository/index.ts';
import { storeOf } from '../stores/index.ts';
import type { BackupFacts, DrillPlace, StoreContext } from '../stores/store.ts';
import type { Counts } from '../words.ts';
import { type BackupChoice, chooseBackups } from './choose-backups.ts';
import { beginDrillJournal, type DrillJournal } from './drill-journal.ts';
import { contentOf, factsOf, inspectArchive, isLoose, type VerifyLevel } from './inspect-archive.ts';
import { recordCheck } from './record-check.ts';
import { contextFor, type Run, rethrowIfAborted, storeNamed } from './run.ts';

export interface DrillSettings {
  /** Configured stores: how the one of the backup is reached, where that is not usual. */
  readonly stores: readonly ConfiguredStore[];
  /** Another one than the backup was made with. */
  readonly image?: string;
  readonly expectedMin?: readonly ExpectedMin[];
  /** The user's own check: told by PKBACKUP_DRILL_* where the restored store is. */
  readonly check?: readonly string[];
}

export interface ExpectedMin {
  /** Of a count; the largest of all where it is missing. */
  readonly name?: string;
  readonly least: number;
}

export interface DrillResult {
  readonly ok: boolean;
  readonly drills: readonly DrilledBackup[];
  readonly durationMs: number;
}

export type DrilledBackup = DrillVerdict | DrillFailure;

export interface DrillVerdict {
  readonly backup: Backup;
  readonly ok: boolean;
  readonly error?: undefined;
  readonly findings: readonly string[];
  /** The level that found them; undefined where there are none. */
  readonly foundBy: VerifyLevel | 'drill' | undefined;
  readonly notChecked: readonly string[];
  readonly counts: Counts;
  /** Samples of the backup that were asked again. */
  readonly asked: number;
  /** Milliseconds from the begin until the restored store served; undefined where it never did. */
  readonly recoveryMs: number | undefined;
  readonly durationMs: number;
  /** What it ran under; undefined where nothing is run. */
  readonly image: DrillPlace['image'];
}

/** The drill itself could not be done: that says nothing of the backup. */
export interface DrillFailure {
  readonly backup: Backup;
  readonly ok: false;
  readonly error: PkbackupError;
}

const checkDeadlineMs = 3600 * 1000;

export async function drill(run: Run, options: DrillSettings & BackupChoice): Promise<DrillResult> {
  const chosen = await chooseBackups(await run.repository.list(), options);
  const backups = chosen.filter((target) => !isLoose(target));
  if (backups.length < chosen.length) {
    for (const target of chosen.filter(isLoose)) refuseLoose(run, target.path, options.backups);
  }
  return drillBackups(run, backups, options);
}

/** One after the other: they would be in each other's way, and their times would say nothing. */
export async function drillBackups(
  run: Run,
  backups: readonly Backup[],
  settings: DrillSettings,
): Promise<DrillResult> {
  const startedMs = Date.now();
  const drills: DrilledBackup[] = [];
  for (const backup of backups) drills.push(await drillOne(run, backup, settings));
  return { ok: drills.every(({ ok }) => ok), drills, durationMs: Date.now() - startedMs };
}

/** What nobody has named is only warned of. */
function refuseLoose({ emit }: Run, path: string, named: readonly string[]): void {
  const message = `"${path}" is no whole backup, and cannot be drilled`;
  if (named.length > 0) throw new PkbackupError('bad_backup', message, { hint: 'pkbackup verify says more' });
  emit({ type: 'warning', message, hint: 'pkbackup verify says more' });
}

async function drillOne(run: Run, backup: Backup, settings: DrillSettings): Promise<DrilledBackup> {
  const { store, metadata, stem } = backup;
  run.emit({ type: 'started', store, kind: metadata.kind, operation: 'drill', backup: stem });
  try {
    const verdict = await judge(run, backup, settings);
    await record(run, verdict);
    const message = verdict.findings[0];
    run.emit({ type: 'ended', store, ok: verdict.ok, ...(message === undefined ? {} : { message }) });
    return verdict;
  } catch (error) {
    rethrowIfAborted(run, error, 'what the drill had made is removed; nothing live was touched');
    if (!(error instanceof PkbackupError)) throw error;
    run.emit({ type: 'ended', store, ok: false, message: error.message });
    return { backup, ok: false, error: asFailure(error) };
  }
}

/** A throwaway server that does not come up before anything was restored has no exit code of its own. */
function asFailure(error: PkbackupError): PkbackupError {
  const { code, message, hint } = error;
  if (code !== 'unhealthy') return error;
  return new PkbackupError('failed', message, { cause: error, ...(hint === undefined ? {} : { hint }) });
}

async function judge(run: Run, backup: Backup, settings: DrillSettings): Promise<DrillVerdict> {
  const startedMs = Date.now();
  const journal = beginDrillJournal(run, backup);
  const journaled = { ...run, docker: journal.docker };
  const proof = await inspectArchive(journaled, backup, 'content').catch(async (error: unknown) => {
    await journal.end();
    throw error;
  });
  const proved = {
    backup,
    ok: proof.findings.length === 0,
    findings: proof.findings,
    foundBy: proof.foundBy,
    notChecked: proof.notChecked,
    counts: {},
    asked: 0,
    recoveryMs: undefined,
    image: undefined,
  };
  if (!proved.ok) {
    await journal.end();
    return { ...proved, durationMs: Date.now() - startedMs };
  }
  const drilled = await inThrowawayPlace(journaled, backup, settings, journal, (place, context) =>
    restoreAndAsk(journaled, backup, settings, { place, context, startedMs }),
  );
  const notChecked = [...proved.notChecked, ...drilled.notChecked];
  return { ...proved, ...drilled, notChecked, durationMs: Date.now() - startedMs };
}

/** What cannot be removed does not hide what the drill found; the journal stays, and the next command tries again. */
async function inThrowawayPlace<T>(
  run: Run,
  { metadata, store }: Backup,
  settings: DrillSettings,
  journal: DrillJournal,
  use: (place: DrillPlace, context: StoreContext) => Promise<T>,
): Promise<T> {
  const facts = factsOf(metadata);
  await using scratch = await run.repository.makeScratch();
  const context = contextFor(run, facts.store, scratch.path);
  let place: DrillPlace | undefined;
  try {
    place = await openPlace(facts, settings, journal.id, context);
    return await use(place, context);
  } finally {
    try {
      await place?.[Symbol.asyncDispose]();
      await journal.end();
    } catch (error) {
      const message = `what the drill has made could not be removed: ${messageOf(error)}`;
      run.emit({ type: 'warning', store, message, hint: 'the next command tries again' });
    }
  }
}

type Drilled = Pick<
  DrillVerdict,
  'ok' | 'findings' | 'foundBy' | 'notChecked' | 'counts' | 'asked' | 'recoveryMs' | 'image'
>;

async function restoreAndAsk(
  run: Run,
  backup: Backup,
  settings: DrillSettings,
  { place, context, startedMs }: { place: DrillPlace; context: StoreContext; startedMs: number },
): Promise<Drilled> {
  const facts = factsOf(backup.metadata);
  const found = { notChecked: [] as string[], counts: {} as Counts, asked: 0, image: place.image };
  const findings: string[] = [];
  let recoveryMs: number | undefined;
  try {
    found.counts = await restoreInto(place, backup, run, context);
    await place.serve();
    recoveryMs = Date.now() - startedMs;
    tell(context, `serves ${(recoveryMs / 1000).toFixed(1)} s after the drill began; asking it`);
    const report = await place.check();
    found.counts = { ...found.counts, ...report.counts };
    found.asked = report.asked;
    found.notChecked.push(...(report.notChecked ?? []));
    findings.push(...report.findings, ...wrongCounts(facts, found.counts, settings));
    if (settings.check) findings.push(...(await runCheck(settings.check, place, facts, context)));
  } catch (error) {
    run.signal.throwIfAborted();
    if (!isVerdict(error)) throw error;
    findings.push(messageOf(error));
  }
  const ok = findings.length === 0;
  return { ...found, ok, findings, foundBy: ok ? undefined : 'drill', recoveryMs };
}

function openPlace(
  facts: BackupFacts,
  { stores, image }: DrillSettings,
  id: string,
  context: StoreContext,
): Promise<DrillPlace> {
  const kind = storeOf(facts.kind);
  if (!kind.openDrill)
    throw new PkbackupError('failed', `a store of kind ${facts.kind} cannot be drilled yet`);
  const configured = storeNamed(stores, facts.store);
  const target = configured?.kind === facts.kind ? configured.target : undefined;
  return kind.openDrill(target, facts, { id, ...(image === undefined ? {} : { image }) }, context);
}

/** As `restore --to` does it, but that nobody is held for the swap: nobody uses the place. */
async function restoreInto(
  place: DrillPlace,
  backup: Backup,
  run: Run,
  context: StoreContext,
): Promise<Counts> {
  const facts = factsOf(backup.metadata);
  const kind = storeOf(facts.kind);
  const restoration = await kind.planRestore(place.target, facts, { beside: true }, context);
  const { neededBytes, freeBytes, target } = restoration.plan;
  if (neededBytes !== undefined && freeBytes !== undefined && neededBytes > freeBytes)
    throw noRoom(target, neededBytes, freeBytes);
  await restoration.stage(contentOf(run, backup));
  run.signal.throwIfAborted();
  await restoration.swap();
  const counts = await restoration.check();
  await restoration.discard();
  tell(context, 'restored into a throwaway place');
  return counts;
}

function tell({ emit, store }: Pick<StoreContext, 'emit' | 'store'>, message: string): void {
  emit({ type: 'step', store, message });
}

class NoRoom extends PkbackupError {}

function noRoom(target: string, needed: number, free: number): PkbackupError {
  return new NoRoom('failed', `${target}: the drill needs ${needed} bytes, ${free} are free`, {
    hint: 'make room there; nothing is said of the backup',
  });
}

/** Whether an error says something of the backup: that it does not come back. Docker that is away, says nothing. */
function isVerdict(error: unknown): boolean {
  if (!(error instanceof PkbackupError) || error instanceof EngineStatusError || error instanceof NoRoom)
    return false;
  return ['bad_backup', 'restore_failed', 'unhealthy', 'failed'].includes(error.code);
}

function wrongCounts(facts: BackupFacts, counts: Counts, { expectedMin = [] }: DrillSettings): string[] {
  const differences = Object.entries(facts.counts).flatMap(([what, expected]) => {
    const found = counts[what];
    return found === undefined || found === expected ? [] : [`expected ${expected} ${what}, found ${found}`];
  });
  const few = expectedMin.flatMap(({ name, least }) => {
    const found = name === undefined ? Math.max(0, ...Object.values(counts)) : counts[name];
    if (found === undefined) throw noSuchCount(name ?? '', counts);
    return found >= least
      ? []
      : [`expected at least ${least}${name === undefined ? '' : ` ${name}`}, found ${found}`];
  });
  return [...differences, ...few];
}

function noSuchCount(name: string, counts: Counts): PkbackupError {
  const names = Object.keys(counts);
  return new PkbackupError('usage', `the store has no count "${name}"${didYouMean(name, names)}`, {
    hint: names.length === 0 ? 'it has none at all' : `it has ${names.join(', ')}`,
  });
}

async function runCheck(
  command: readonly string[],
  place: DrillPlace,
  { store, kind }: BackupFacts,
  { environment, signal, ...context }: StoreContext,
): Promise<string[]> {
  const known = { STORE: store, KIND: kind, ...place.environment() };
  const told = Object.fromEntries(
    Object.entries(known).map(([name, value]) => [`PKBACKUP_DRILL_${name}`, value]),
  );
  const { how, exitCode, message, lastLines } = await runProgram(command, {
    environment: { ...environment, ...told },
    deadlineMs: checkDeadlineMs,
    signal,
    onLine: (line) => tell(context, `check: ${line}`),
  });
  signal.throwIfAborted();
  if (how === 'not-started') throw new PkbackupError('usage', `the check "${command[0]}" ${message}`);
  if (exitCode === 0) return [];
  const said = lastLines.findLast((line) => line.trim() !== '');
  return [`the check "${command[0]}" failed (${message})${said === undefined ? '' : `: ${said.trim()}`}`];
}

/** That a backup does not come up under another image is no damage of it. */
async function record(run: Run, { backup, ok, findings, recoveryMs, image }: DrillVerdict): Promise<void> {
  if (!ok && image?.isOther) return;
  const extra: Partial<Check> = {
    ...(recoveryMs === undefined ? {} : { recovery_ms: recoveryMs }),
    ...(image?.isOther ? { image: image.name } : {}),
  };
  await recordCheck(run, backup, 'drill', findings, extra);
}
