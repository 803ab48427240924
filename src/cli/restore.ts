// pkbackup restore: the plan, the question, the result. Without a backup it lists what there is.
import { choosePolicy, policiesOf } from '../config/index.ts';
import { exitCodeOf, PkbackupError } from '../errors.ts';
import { projectOf } from '../operations/other-place.ts';
import { type ConfirmedPlan, type RestoreResult, restore } from '../operations/restore.ts';
import { isSet, restoreSet } from '../operations/restore-set.ts';
import type { Run } from '../operations/run.ts';
import { restoreJson, restorePlanJson, restorePlanText, restoreText } from '../reporters/restore-result.ts';
import { defaultKeepSafetyMs } from '../retention/index.ts';
import { runList } from './list.ts';
import { openRun, storesFor } from './open-run.ts';
import { askForWord, refuseToAsk } from './prompt.ts';
import type { Session } from './session.ts';

export interface RestoreFlags {
  readonly project?: string;
  readonly to?: string;
  readonly volumeOptions?: boolean;
  readonly store?: string;
  readonly yes?: boolean;
  readonly safetyBackup: boolean;
  readonly dryRun?: boolean;
  readonly rollback?: boolean;
}

export async function runRestore(
  session: Session,
  backup: string | undefined,
  only: readonly string[],
  flags: RestoreFlags,
): Promise<number> {
  if (flags.rollback) refuseNoStore(backup);
  if (backup === undefined) {
    await runList(session, []);
    session.tell('hint: pkbackup restore STORE@1 puts the newest backup of a store back');
    return 0;
  }
  if (!flags.safetyBackup && !flags.yes) {
    throw new PkbackupError(
      'usage',
      '--no-safety-backup needs --yes: the present data could not be brought back',
    );
  }
  // Beside the present data nothing is replaced, so nothing is asked.
  const asks = !flags.yes && !flags.dryRun && flags.to === undefined;
  const command = `restore ${backup}${flags.rollback ? ' --rollback' : ''}`;
  if (asks && !session.canAsk) throw refuseToAsk(command);
  const run = await openRun(session, command, { heals: !flags.dryRun });
  const isWholeSet = !flags.rollback && (await isSet(run, backup));
  if (!isWholeSet && only.length > 0) throw noSet(backup);
  return isWholeSet
    ? await runRestoreSet(session, run, backup, only, flags)
    : await runRestoreOne(session, run, backup, flags);
}

async function runRestoreOne(
  session: Session,
  run: Run,
  backup: string,
  flags: RestoreFlags,
): Promise<number> {
  const { stores } = await session.settings();
  let plan: ConfirmedPlan | undefined;
  try {
    const result = await restore(run, {
      backup,
      stores,
      discover: (store) => storesFor(session, [store], flags),
      safetyBackup: flags.safetyBackup,
      ...(flags.rollback && { rollback: true }),
      ...placeOf(flags),
      ...(flags.store !== undefined && { store: flags.store }),
      confirm: (shown) => {
        plan = shown;
        return confirm(session, [shown], shown.backup.store, flags);
      },
    });
    session.answer({ text: (look) => restoreText(result, look), json: () => restoreJson(result) });
    return tellClients(session, [result]);
  } catch (error) {
    const shown = plan;
    if (!isDryRun(error, flags) || shown === undefined) throw error;
    const keepMs = await keepSafetyOf(session);
    session.answer({
      text: (look) => restorePlanText(shown, look, keepMs(shown)),
      json: () => restorePlanJson(shown),
      isAsked: true,
    });
    return 0;
  }
}

async function runRestoreSet(
  session: Session,
  run: Run,
  setId: string,
  only: readonly string[],
  flags: RestoreFlags,
): Promise<number> {
  if (flags.to !== undefined && projectOf(flags.to) === undefined) {
    throw new PkbackupError('usage', `--to TARGET takes one backup, and "${setId}" is a set`, {
      hint: 'restore it into another compose project with --to project:NAME, or its backups one by one: pkbackup list shows their names',
    });
  }
  const { stores } = await session.settings();
  let plans: readonly ConfirmedPlan[] | undefined;
  try {
    const results = await restoreSet(run, {
      setId,
      only,
      stores,
      discover: (store) => storesFor(session, [store]),
      safetyBackup: flags.safetyBackup,
      ...placeOf(flags),
      confirm: (shown) => {
        plans = shown;
        return confirm(session, shown, setId, flags);
      },
    });
    session.answer({
      text: (look) => results.flatMap((result) => restoreText(result, look)),
      json: () => ({ ok: true, set_id: setId, stores: results.map(restoreJson) }),
    });
    return tellClients(session, results);
  } catch (error) {
    const shown = plans;
    if (!isDryRun(error, flags) || shown === undefined) throw error;
    const keepMs = await keepSafetyOf(session);
    session.answer({
      text: (look) => shown.flatMap((plan) => restorePlanText(plan, look, keepMs(plan))),
      json: () => ({ dry_run: true, set_id: setId, stores: shown.map(restorePlanJson) }),
      isAsked: true,
    });
    return 0;
  }
}

const placeOf = ({ to, volumeOptions }: RestoreFlags) => ({
  ...(to !== undefined && { to }),
  ...(volumeOptions && { takesVolumeOptions: true }),
});

/** Nothing was confirmed, because nothing was to be done. */
function isDryRun(error: unknown, flags: RestoreFlags): boolean {
  return flags.dryRun === true && error instanceof PkbackupError && error.code === 'cancelled';
}

function noSet(reference: string): PkbackupError {
  return new PkbackupError('usage', `only of a set can stores be chosen, and "${reference}" is none`, {
    hint: 'pkbackup restore STORE@latest restores one store',
  });
}

/** The store itself is good, and the answer says so; but something that served before does not. */
function tellClients(session: Session, results: readonly RestoreResult[]): number {
  let exitCode = 0;
  const told = results.flatMap(({ backup, clients }) => clients.map((client) => ({ backup, ...client })));
  for (const { backup, name, problem } of told) {
    if (problem === undefined) continue;
    const error = new PkbackupError(
      'unhealthy',
      `${backup.store} is restored, but its client "${name}" does not serve again: ${problem}`,
      {
        hint: `see docker logs ${name}; pkbackup restore ${backup.store} --rollback goes back to the previous data`,
      },
    );
    session.tellError(error);
    exitCode = exitCodeOf(error);
  }
  return exitCode;
}

function refuseNoStore(store: string | undefined): void {
  if (store !== undefined && /^[^@/\\]+$/.test(store)) return;
  const what = store === undefined ? 'which store is to go back?' : `"${store}" is not the name of a store`;
  throw new PkbackupError('usage', what, {
    hint: 'pkbackup restore STORE --rollback puts back what the last restore of the store replaced',
  });
}

/** How long the safety backup of a restore stays; undefined where nothing is ever pruned. */
async function keepSafetyOf(session: Session): Promise<(plan: ConfirmedPlan) => number | undefined> {
  const { environment, config } = await session.settings();
  const { policy, ofStores } = choosePolicy({}, environment, policiesOf(config));
  return ({ backup }) => {
    const chosen = ofStores.get(backup.store) ?? policy;
    return chosen && (chosen.keepSafetyMs ?? defaultKeepSafetyMs);
  };
}

/** Nothing is asked where nothing is replaced. */
async function confirm(
  session: Session,
  plans: readonly ConfirmedPlan[],
  word: string,
  flags: RestoreFlags,
): Promise<boolean> {
  if (flags.dryRun) return false;
  if (flags.yes || !plans.some(({ replaces }) => replaces)) return true;
  const keepMs = await keepSafetyOf(session);
  session.show((look) => plans.flatMap((plan) => restorePlanText(plan, look, keepMs(plan))));
  return askForWord(`Type "${word}" to go on: `, word, session.signal);
}
