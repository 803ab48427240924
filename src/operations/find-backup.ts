// Which backup a restore takes.
import { PkbackupError } from '../errors.ts';
import { didYouMean } from '../near.ts';
import { type Backup, findBackups } from '../repository/index.ts';
import { isLoose } from './inspect-archive.ts';
import type { Run } from './run.ts';

/** The one that `reference` names; throws `not_found`, `ambiguous` or `bad_backup`. */
export async function findOne(run: Run, reference: string): Promise<Backup> {
  const found = await findBackups(reference, await run.repository.list());
  const [first, ...others] = found;
  if (!first) throw new PkbackupError('not_found', `there is no backup "${reference}"`);
  if (others.length > 0) {
    const stems = found.map((backup) => ('stem' in backup ? backup.stem : backup.path));
    throw new PkbackupError(
      'ambiguous',
      `"${reference}" names ${found.length} backups: ${stems.join(', ')}`,
      {
        hint: 'restore them one by one',
      },
    );
  }
  if (isLoose(first)) {
    if (first.listed) {
      const { reason, hint } = first.listed;
      throw new PkbackupError('bad_backup', `"${first.path}" cannot be restored: ${reason}`, { hint });
    }
    if (first.problem) throw new NotGood(first.path, [first.problem], 'nothing was touched');
    throw new PkbackupError('bad_backup', `"${first.path}" has no metadata, so its kind is not known`, {
      hint: 'docs/stores/<kind>.md shows how to restore an archive by hand',
    });
  }
  return first;
}

/** What the last restore of a store has replaced: its newest safety backup. */
export async function findReplaced(run: Run, store: string): Promise<Backup> {
  const { backups } = await run.repository.list();
  const safety = backups.filter(({ metadata }) => metadata.safety === true);
  const newest = safety.find((backup) => backup.store === store);
  if (newest) return newest;
  const trashed = (await run.repository.trash.list()).find(
    (each) => each.store === store && each.metadata.safety === true,
  );
  const stores = [...new Set(safety.map((backup) => backup.store))].sort();
  const known = [...new Set(backups.map((backup) => backup.store))];
  const near = known.includes(store) ? '' : didYouMean(store, known);
  throw new PkbackupError('not_found', `there is no safety backup of "${store}" to go back to${near}`, {
    hint: trashed
      ? `prune has moved the last one to the trash: pkbackup undelete ${trashed.stem}`
      : stores.length > 0
        ? `there are safety backups of ${stores.join(', ')}`
        : 'a restore makes one of what it replaces, unless it was told --no-safety-backup',
  });
}

/** Exit code 4, also in the middle of a restore: nothing live was touched then. */
export class NotGood extends PkbackupError {
  constructor(name: string, findings: readonly string[], hint: string) {
    super('bad_backup', `"${name}" is not a good backup: ${findings.join('; ')}`, { hint });
  }
}
