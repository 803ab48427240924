// Guards whose process is dead, or that wait for a person. What was decided is ended by every command: a rollback that was
// broken off goes on. Whether the new version is to stay is asked only where somebody wants to know: by `pkbackup recover`.
import { messageOf, PkbackupError } from '../errors.ts';
import { asOwner, isAlive } from '../owner.ts';
import type { GuardRecord } from '../repository/index.ts';
import { checkGuarded } from './guard-check.ts';
import { endGuard } from './guard-end.ts';
import {
  type FoundGuard,
  type GuardJournal,
  guardJournal,
  lockGuards,
  namesOf,
  orphanGuards,
} from './guard-journal.ts';
import { goBack } from './guard-rollback.ts';
import type { RecoveredThing } from './recover.ts';
import type { Run } from './run.ts';

export interface RecoverGuardsOptions {
  readonly dryRun: boolean;
  /** Somebody has asked for it: what was not looked at is looked at now. */
  readonly isAsked: boolean;
}

const howToDecide = 'pkbackup guard --undo goes back, pkbackup guard --accept keeps it as it is';

export async function recoverGuards(run: Run, options: RecoverGuardsOptions): Promise<RecoveredThing[]> {
  const done: RecoveredThing[] = [];
  for (const found of await orphanGuards(run)) {
    try {
      const thing = await recoverOne(run, found, options);
      if (thing) done.push(thing);
    } catch (error) {
      run.signal.throwIfAborted();
      // Another command is at it.
      if (error instanceof PkbackupError && error.code === 'locked') continue;
      const names = found.record ? namesOf(found.record) : found.name;
      done.push({ ok: false, message: `the guard of ${names} is not settled: ${messageOf(error)}` });
    }
  }
  return done;
}

async function recoverOne(
  run: Run,
  { name, record: found }: FoundGuard,
  options: RecoverGuardsOptions,
): Promise<RecoveredThing | undefined> {
  if (!found) throw new PkbackupError('failed', `the journal "${name}" cannot be read`);
  if (options.dryRun) return foretell(found);
  await using _lock = await lockGuards(run);
  // Another command may have settled it while this one waited.
  const record = (await orphanGuards(run)).find((orphan) => orphan.name === name)?.record;
  if (!record) return undefined;
  const journal = guardJournal(run, name, record);
  const names = namesOf(record);
  switch (record.step) {
    case 'keeping':
      await endGuard(run, journal);
      return { ok: true, message: `ended the guard of ${names}: it was broken off before its command ran` };
    case 'settled':
      await endGuard(run, journal);
      return { ok: true, message: `ended the guard of ${names}, which was decided already` };
    case 'undoing':
    case 'restored':
      return undo(run, journal);
    case 'command':
    case 'checking':
      return decide(run, journal, options);
    case 'waiting':
      return { ok: false, message: waitingText(record) };
  }
}

function foretell(record: GuardRecord): RecoveredThing {
  const names = namesOf(record);
  const what = {
    keeping: `would end the guard of ${names}: its command was not run`,
    settled: `would end the guard of ${names}`,
    command: `would ask whether ${names} came through the command "${record.program}"`,
    checking: `would ask whether ${names} came through the command "${record.program}"`,
    undoing: `would go on rolling back ${names}`,
    restored: `would go on rolling back ${names}`,
    waiting: waitingText(record),
  }[record.step];
  return { ok: record.step !== 'waiting', message: what };
}

function waitingText(record: GuardRecord): string {
  const found = record.findings[0];
  const why = found === undefined ? '' : ` (${found})`;
  return `the guard of ${namesOf(record)} waits for a decision${why}: ${howToDecide}`;
}

async function decide(
  run: Run,
  journal: GuardJournal,
  { isAsked }: RecoverGuardsOptions,
): Promise<RecoveredThing> {
  const { record } = journal;
  const names = namesOf(record);
  if (record.command && isAlive(asOwner(record.command))) {
    const { pid } = record.command;
    const message = `the command "${record.program}" of the guard of ${names} still runs (process ${pid}); once it has ended, pkbackup recover looks at what it did`;
    return { ok: false, message };
  }
  if (!isAsked) {
    const message = `the guard of ${names} was broken off after its command was started: pkbackup recover asks the stores, and settles it`;
    return { ok: false, message };
  }
  const findings = await checkGuarded(run, record);
  if (findings.length === 0) {
    await endGuard(run, journal);
    return { ok: true, message: `ended the guard of ${names}: all that the backup has is there` };
  }
  if (record.rollback === 'auto') return undo(run, journal, findings);
  await journal.note({ step: 'waiting', findings });
  return { ok: false, message: waitingText(journal.record) };
}

async function undo(
  run: Run,
  journal: GuardJournal,
  because: readonly string[] = journal.record.findings,
): Promise<RecoveredThing> {
  const names = namesOf(journal.record);
  const { outcome, findings } = await goBack(run, journal, because);
  if (outcome === 'rolled-back')
    return { ok: true, message: `rolled back ${names}, whose guard was broken off` };
  return { ok: false, message: `${names} could not be rolled back: ${findings.at(-1)}` };
}

/** What a person has decided of the guard that waits, or of the one of these stores. */
export async function settleGuard(
  run: Run,
  decision: 'undo' | 'accept',
  stores: readonly string[],
): Promise<{
  record: GuardRecord;
  outcome: 'accepted' | 'rolled-back' | 'waiting';
  findings: readonly string[];
}> {
  await using _lock = await lockGuards(run);
  const { name, record } = oneOf(await orphanGuards(run), stores);
  const journal = guardJournal(run, name, record);
  if (decision === 'accept') {
    refuseHalfWay(record);
    await endGuard(run, journal);
    return { record, outcome: 'accepted', findings: [] };
  }
  const { outcome, findings } = await goBack(run, journal, record.findings);
  return { record, outcome: outcome === 'rolled-back' ? outcome : 'waiting', findings };
}

function oneOf(
  found: readonly FoundGuard[],
  stores: readonly string[],
): { name: string; record: GuardRecord } {
  const candidates = found.flatMap(({ name, record }) => {
    const isMeant = record?.stores.some(({ store }) => stores.includes(store)) ?? false;
    return record && (stores.length === 0 || isMeant) ? [{ name, record }] : [];
  });
  const [first, ...others] = candidates;
  if (!first) {
    const of = stores.length === 0 ? '' : ` of ${stores.map((store) => `"${store}"`).join(', ')}`;
    throw new PkbackupError('not_found', `there is no guard${of} that waits`);
  }
  if (others.length === 0) return first;
  const names = candidates.map(({ record }) => namesOf(record)).join(' and of ');
  throw new PkbackupError('ambiguous', `several guards wait: of ${names}`, {
    hint: 'name a store of one of them',
  });
}

/** Between the two there is no state that anybody wants. */
function refuseHalfWay(record: GuardRecord): void {
  if (record.step !== 'undoing' && record.step !== 'restored') return;
  throw new PkbackupError(
    'needs_human',
    `${namesOf(record)}: the rollback has begun, and cannot be accepted half done`,
    {
      hint: 'pkbackup guard --undo goes on with it',
    },
  );
}
