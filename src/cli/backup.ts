// pkbackup backup: which stores, with which compression; the summary, and an exit code that says the worst.
import { type ConfiguredStore, mostParallel, type Settings } from '../config/index.ts';
import { backup, type Consistency, type StoreResult } from '../operations/backup.ts';
import { withHooks } from '../operations/hooks.ts';
import type { Run } from '../operations/run.ts';
import { backupJson, backupText } from '../reporters/backup-result.ts';
import { errorJson } from '../reporters/error-text.ts';
import { pruneJson, pruneSum } from '../reporters/prune-result.ts';
import { type PrunedAfterwards, pruneAfterBackup } from './after-backup.ts';
import { type Announcement, announced, type Summary } from './announce.ts';
import { consistencyError, type Done, factsOf, failuresOf, summaryOf, worstOf } from './backup-outcome.ts';
import type { DrilledAfterwards } from './drill.ts';
import { type DiscoveryFlags, openRun, shortPath, storesFor } from './open-run.ts';
import type { Session } from './session.ts';
import { tellUncovered } from './uncovered.ts';
import { compressionFor, wholeNumber } from './values.ts';

export interface BackupFlags extends DiscoveryFlags {
  readonly compression?: string;
  readonly level?: string;
  readonly consistent?: boolean;
  readonly parallel?: string;
  readonly allowEmpty?: boolean;
  readonly failOnShrink?: boolean;
  readonly drill?: boolean;
  readonly dryRun?: boolean;
  /** Instead of `after_backup` of the config file. */
  readonly prune?: boolean;
}

export async function runBackup(
  session: Session,
  names: readonly string[],
  flags: BackupFlags,
): Promise<number> {
  if (flags.dryRun) return (await backUp(session, names, flags)).exitCode;
  return announced(session, 'backup', (announcement) => {
    return hookedBackup(session, names, flags, announcement);
  });
}

async function hookedBackup(
  session: Session,
  names: readonly string[],
  flags: BackupFlags,
  announcement: Announcement,
): Promise<Summary> {
  const settings = await session.settings();
  checkFlags(flags, settings);
  const { config, repository } = settings;
  const facts = { OPERATION: 'backup', REPOSITORY: repository, STORES: names.join(' ') };
  const work = async () => {
    announcement.begin();
    const done = await backUp(session, names, flags);
    await announcement.settle(summaryOf(done));
    return done;
  };
  const done = await withHooks(session, { hooks: config?.hooks, facts }, work, factsOf);
  if (done) return summaryOf(done);
  session.answer({
    text: () => ['nothing was backed up: the before hook asked to skip this run (exit code 75)'],
    json: () => ({ ok: true, skipped: true, stores: [] }),
  });
  return { exitCode: 0, isSkipped: true, stores: [] };
}

async function backUp(session: Session, names: readonly string[], flags: BackupFlags): Promise<Done> {
  const settings = await session.settings();
  const { parallel } = checkFlags(flags, settings);
  const run = await openRun(session, ['backup', ...names].join(' '), { heals: !flags.dryRun });
  const chosen = await storesFor(session, names, flags);
  const stores = chosen.map((store) => ({ ...store, ...compressionFor(flags, store, settings) }));
  const result = await backup(run, {
    stores,
    allowEmpty: flags.allowEmpty === true,
    dryRun: flags.dryRun === true,
    failOnShrink: flags.failOnShrink ?? settings.config?.failOnShrink,
    maxShrinkPercent: settings.config?.expects?.maxShrinkPercent,
    ...(parallel !== undefined && { parallel }),
    ...((flags.consistent ?? settings.config?.consistent) && { consistent: consistencyOf(settings, chosen) }),
  });
  // Before anything is pruned: what proves itself now may be the last good one.
  const drilled = flags.drill && !flags.dryRun ? await drillNew(session, run, result.stores) : undefined;
  const pruned = await pruneAfterBackup(session, run, result.stores, flags.prune);
  const uncovered = names.length === 0 ? await tellUncovered(session, run, result.stores) : undefined;
  const freeBytes = await run.repository.freeBytes();
  const exitCode = worstOf(result.stores, consistencyError(result));
  session.answer({
    text: (look) => [
      ...backupText(result, { repository: shortPath(settings.repository), freeBytes, exitCode }, look),
      ...(drilled ? ['', ...drilled.text(look)] : []),
      ...(pruned?.ok ? [pruneSum(pruned.result, pruned.from)] : []),
    ],
    json: () => ({
      ...backupJson(result),
      ...(uncovered && { in_no_backup: uncovered }),
      ...(drilled && { drill: drilled.json() }),
      ...(pruned && { prune: prunedJson(pruned) }),
    }),
  });
  drilled?.tellFailures();
  for (const failure of failuresOf(result.stores)) session.tellError(failure);
  const failure = consistencyError(result);
  if (failure) session.tellError(failure);
  return {
    exitCode: exitCode === 0 ? (drilled?.exitCode ?? 0) : exitCode,
    result,
    drillError: drilled?.error,
  };
}

/** Wrong flags are said before anybody is asked for anything, or any hook runs. */
function checkFlags(flags: BackupFlags, settings: Settings): { parallel: number | undefined } {
  compressionFor(flags, { name: 'all stores' }, settings);
  if (flags.parallel === undefined) return { parallel: settings.config?.parallel };
  return { parallel: wholeNumber('--parallel', flags.parallel, 1, mostParallel) };
}

async function drillNew(
  session: Session,
  run: Run,
  results: readonly StoreResult[],
): Promise<DrilledAfterwards | undefined> {
  const { drillAfterBackup } = await import('./drill.ts');
  return drillAfterBackup(session, run, results);
}

const defaultLongestMs = 30_000;

/** Where the config file names no clients, labels may. */
function consistencyOf({ config }: Settings, stores: readonly ConfiguredStore[]): Consistency {
  const labelled = [...new Set(stores.flatMap(({ clients = [] }) => clients))];
  const { clientsHold: hold, clientsRelease: release } = config ?? {};
  return {
    clients: {
      containers: config?.clients ?? labelled,
      quiesce: config?.clientsQuiesce ?? 'pause',
      ...(hold && release && { outside: { hold, release } }),
    },
    longestMs: config?.clientsLongestMs ?? defaultLongestMs,
  };
}

function prunedJson(pruned: PrunedAfterwards): Record<string, unknown> {
  if (!pruned.ok) return { ok: false, error: errorJson(pruned.error) };
  return { ok: true, ...pruneJson(pruned.result, pruned.from) };
}
