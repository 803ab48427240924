// How a guard ends: nothing that it has made is left, and its backups are like all others again.
import { messageOf } from '../errors.ts';
import type { GuardJournal } from './guard-journal.ts';
import type { Run } from './run.ts';

const reasonOf = (id: string): string => `guard ${id}`;

/** Nothing prunes them before the guard has ended. */
export async function pinBackups(run: Run, { record }: GuardJournal): Promise<void> {
  await setPinned(run, record.stores, (pinned) => pinned === undefined, reasonOf(record.id));
}

/** After a crash in the middle the next command goes on with it. */
export async function endGuard(run: Run, journal: GuardJournal): Promise<void> {
  const { id, stores } = journal.record;
  await journal.note({ step: 'settled' });
  if (journal.record.containers.length > 0) await (await run.docker()).removeKeepers(id);
  await setPinned(run, stores, (pinned) => pinned === reasonOf(id), false);
  await journal.end();
}

/** Where it is decided already, what cannot be removed changes nothing about that. */
export async function endGuardOrWarn(run: Run, journal: GuardJournal): Promise<void> {
  try {
    await endGuard(run, journal);
  } catch (error) {
    const message = `what the guard has made could not be removed: ${messageOf(error)}`;
    run.emit({ type: 'warning', message, hint: 'the next command tries again' });
  }
}

async function setPinned(
  run: Run,
  stores: GuardJournal['record']['stores'],
  isWanted: (pinned: string | boolean | undefined) => boolean,
  to: string | false,
): Promise<void> {
  const { backups } = await run.repository.list();
  for (const backup of backups) {
    const isOurs = stores.some(({ store, stem }) => store === backup.store && stem === backup.stem);
    if (isOurs && isWanted(backup.metadata.pinned)) await run.repository.setPinned(backup, to, run.signal);
  }
}
