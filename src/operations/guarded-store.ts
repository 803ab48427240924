// A store as the journal of a guard has it: enough to find its backup, and to restore it, in another process.
import type { ConfiguredStore } from '../config/types.ts';
import { PkbackupError } from '../errors.ts';
import type { Backup, GuardRecord } from '../repository/index.ts';
import { storeOf } from '../stores/index.ts';
import type { Run } from './run.ts';

export type GuardedStore = GuardRecord['stores'][number];

export function guardedStore(store: ConfiguredStore, { stem }: Backup): GuardedStore {
  const { name, kind, target, graceSeconds, healthSeconds, clients, holdDependents } = store;
  return {
    store: name,
    kind,
    stem,
    target,
    ...(graceSeconds !== undefined && { graceSeconds }),
    ...(healthSeconds !== undefined && { healthSeconds }),
    ...(clients !== undefined && { clients: [...clients] }),
    ...(holdDependents !== undefined && { holdDependents }),
  };
}

/** What a journal says is input: the target has to pass the schema of its kind. */
export function asConfigured(guarded: GuardedStore): ConfiguredStore {
  const { store: name, kind, target, graceSeconds, healthSeconds, clients, holdDependents } = guarded;
  return {
    name,
    kind,
    target: storeOf(kind).schema.parse(target),
    ...(graceSeconds !== undefined && { graceSeconds }),
    ...(healthSeconds !== undefined && { healthSeconds }),
    ...(clients !== undefined && { clients }),
    ...(holdDependents !== undefined && { holdDependents }),
  };
}

export async function backupOf(run: Run, { store, stem }: GuardedStore): Promise<Backup> {
  const { backups } = await run.repository.list();
  const found = backups.find((backup) => backup.stem === stem && backup.store === store);
  if (found) return found;
  throw new PkbackupError(
    'not_found',
    `the backup "${stem}" of "${store}" is not in the repository any more`,
    {
      hint: 'pkbackup undelete brings it back, if prune has moved it to the trash',
    },
  );
}
