// pkbackup pin, unpin and undelete: what people say about single backups.
import { PkbackupError } from '../errors.ts';
import { didYouMean } from '../near.ts';
import { type Backup, findBackups, type TrashedBackup } from '../repository/index.ts';
import { isLoose } from './inspect-archive.ts';
import { lockStore, type Run } from './run.ts';

/** Pins every backup that `reference` names (all of a set), with a reason if there is one; or unpins them. */
export async function pin(run: Run, reference: string, pinned: string | boolean): Promise<readonly Backup[]> {
  const found = await findBackups(reference, await run.repository.list());
  const backups = found.filter((target) => !isLoose(target));
  if (backups.length === 0)
    throw new PkbackupError('bad_backup', `"${reference}" has no metadata to pin it in`);
  for (const backup of backups) await run.repository.setPinned(backup, pinned, run.signal);
  return backups;
}

/** Brings pruned backups back: by stem, or all of a set. */
export async function bringBack(run: Run, reference: string): Promise<readonly TrashedBackup[]> {
  const trashed = await run.repository.trash.list();
  const wanted = trashed.filter(({ stem, metadata }) => {
    return stem === reference || metadata.backup_file === reference || metadata.set_id === reference;
  });
  if (wanted.length === 0) {
    const stems = trashed.map(({ stem }) => stem);
    throw new PkbackupError(
      'not_found',
      `there is no "${reference}" in the trash${didYouMean(reference, stems)}`,
      {
        hint: stems.length === 0 ? 'the trash is empty' : `in the trash: ${stems.slice(0, 5).join(', ')}`,
      },
    );
  }
  for (const one of wanted) {
    await using _lock = await lockStore(run, one.store);
    await run.repository.trash.settle(one.store);
    await run.repository.trash.bringBack(one);
  }
  return wanted;
}
