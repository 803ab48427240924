// The journal of a restore: one small file, replaced whole before each step, so that after a crash the next command knows
// how far the restore had come. It lies in the repository, so it is followed only where it is ours (see journal-files.ts).
import { randomBytes } from 'node:crypto';
import { PkbackupError } from '../errors.ts';
import { asOwner, isAlive, thisProcess } from '../owner.ts';
import type { Held } from '../quiesce/index.ts';
import { journalNameOf, type RestoreRecord, type RestoreStep } from '../repository/index.ts';
import { parseRestoreRecord } from '../repository/restore-record.ts';
import type { RestoreState } from '../stores/store.ts';
import type { Run } from './run.ts';

export interface RestoreJournal {
  /** On disk when it returns. */
  note(step: RestoreStep, state: RestoreState | undefined, held?: readonly Held[]): Promise<void>;
  /** The restore is done, or undone. */
  end(): Promise<void>;
}

const suffix = '.restore.json';

export function beginRestoreJournal(
  run: Run,
  facts: Omit<RestoreRecord, 'type' | 'version' | 'owner' | 'held' | 'step' | 'state'>,
): RestoreJournal {
  const name = journalNameOf(facts.store, new Date(), randomBytes(4).toString('hex'), suffix);
  const owner = { ...thisProcess() };
  return {
    async note(step, state = {}, held = []) {
      const record: RestoreRecord = {
        type: 'pkbackup-restore',
        version: 1,
        owner,
        ...facts,
        held: held.map((one) => ({ ...one })),
        step,
        state: { ...state },
      };
      await run.repository.journal.write(name, JSON.stringify(record));
    },
    end: () => run.repository.journal.remove(name),
  };
}

export interface OrphanRestore {
  readonly name: string;
  /** Undefined where the file cannot be read: it is said, and left alone. */
  readonly record: RestoreRecord | undefined;
}

/** Restores whose process is dead, the oldest first. */
export async function orphanRestores(run: Run): Promise<OrphanRestore[]> {
  const orphans: OrphanRestore[] = [];
  for (const { name, text } of await run.repository.journal.read(suffix)) {
    const record = parseRestoreRecord(text);
    if (record && isAlive(asOwner(record.owner))) continue;
    orphans.push({ name, record });
  }
  return orphans;
}

/**
 * Under the store's lock every journal of it is one of a restore that was broken off, and that healing could not settle:
 * nobody knows what a copy would hold, and a second restore would have two previous states to keep. What a restore has
 * proved may be saved. Throws `code`.
 */
export async function refuseUnsettled(
  run: Run,
  store: string,
  code: 'backup_failed' | 'restore_failed',
): Promise<void> {
  for (const { name, text } of await run.repository.journal.read(suffix, store)) {
    const record = parseRestoreRecord(text);
    if (record?.beside || (record && isProved(record) && code === 'backup_failed')) continue;
    throw new PkbackupError(code, `${store}: ${describeUnsettled(name, record)}`, {
      hint: 'pkbackup recover tries it again, and says what is in its way',
    });
  }
}

/** Whether a restore of the store was broken off where its data may be neither the old nor the new. */
export async function isBrokenOff({ repository }: Pick<Run, 'repository'>, store: string): Promise<boolean> {
  const journals = await repository.journal.read(suffix, store);
  return journals.some(({ text }) => {
    const record = parseRestoreRecord(text);
    return record === undefined || (record.step === 'swapping' && !isAlive(asOwner(record.owner)));
  });
}

function describeUnsettled(name: string, record: RestoreRecord | undefined): string {
  if (!record)
    return `the journal "${name}" of a restore cannot be read, so the state of the data is not known`;
  const restore = `the restore of "${record.stem}"`;
  return isProved(record)
    ? `${restore} is not ended: what it replaced still waits to become a safety backup`
    : `${restore} was broken off and is not undone yet, so the data may be neither the old nor the new`;
}

export function isProved({ step }: RestoreRecord): boolean {
  return step === 'checked' || step === 'kept';
}

/** `checked` is noted for a store when all that are restored with it have proved themselves. */
export function isProvedAmong(record: RestoreRecord, orphans: readonly OrphanRestore[]): boolean {
  if (isProved(record)) return true;
  if (record.group === undefined) return false;
  return orphans.some(
    ({ record: other }) => other !== undefined && other.group === record.group && isProved(other),
  );
}
