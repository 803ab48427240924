// The journal of a guard: replaced whole before each step, so that after a crash somebody knows what was run and what is the
// way back.
import { PkbackupError } from '../errors.ts';
import { asOwner, isAlive } from '../owner.ts';
import { type GuardRecord, journalNameOf } from '../repository/index.ts';
import type { Run } from './run.ts';

export interface GuardJournal {
  readonly record: GuardRecord;
  /** On disk when it returns. */
  note(change: Partial<GuardRecord>): Promise<void>;
  /** Nothing is left to do. */
  end(): Promise<void>;
}

export interface FoundGuard {
  readonly name: string;
  /** Undefined where the file cannot be read. */
  readonly record: GuardRecord | undefined;
}

const suffix = '.guard.json';
const lockName = 'pkbackup-guard';

export function beginGuardJournal(run: Run, record: GuardRecord): GuardJournal {
  const store = record.stores[0]?.store ?? 'guard';
  return guardJournal(run, journalNameOf(store, new Date(), record.id, suffix), record);
}

export function guardJournal(run: Run, name: string, begun: GuardRecord): GuardJournal {
  let record = begun;
  return {
    get record() {
      return record;
    },
    async note(change) {
      record = { ...record, ...change };
      await run.repository.journal.write(name, JSON.stringify(record));
    },
    end: () => run.repository.journal.remove(name),
  };
}

/** Guards whose process is dead, the oldest first. */
export async function orphanGuards(run: Run): Promise<FoundGuard[]> {
  return (await allGuards(run)).filter(({ record }) => !record || !isAlive(asOwner(record.owner)));
}

async function allGuards(run: Run): Promise<FoundGuard[]> {
  const files = await run.repository.journal.read(suffix);
  if (files.length === 0) return [];
  const { parseGuardRecord } = await import('../repository/guard-record.ts');
  return files.map(({ name, text }) => ({ name, record: parseGuardRecord(text) }));
}

/** So that two commands do not settle the same one; throws `locked`. */
export function lockGuards({ repository, command, signal, lockWaitMs }: Run): Promise<AsyncDisposable> {
  return repository.lock(lockName, {
    command,
    signal,
    ...(lockWaitMs !== undefined && { waitMs: lockWaitMs }),
  });
}

/** Two guards of one store would have two ways back. */
export async function refuseGuarded(run: Run, stores: readonly string[]): Promise<void> {
  for (const { name, record } of await allGuards(run)) {
    const [guarded] = record?.stores.filter(({ store }) => stores.includes(store)) ?? [];
    if (record && !guarded) continue;
    const what = guarded ? `the guard of "${guarded.store}"` : `the journal "${name}" of a guard`;
    const is = record ? 'has not come to its end' : 'cannot be read';
    throw new PkbackupError('needs_human', `${what} ${is}; nothing was run`, {
      hint: 'pkbackup recover says what is to be done',
    });
  }
}

export function namesOf({ stores }: Pick<GuardRecord, 'stores'>): string {
  return stores.map(({ store }) => store).join(', ');
}
