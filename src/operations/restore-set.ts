// A set is restored as one: all of its stores, or those that are named, or none.
import { PkbackupError } from '../errors.ts';
import { type Backup, findBackups } from '../repository/index.ts';
import { isLoose } from './inspect-archive.ts';
import { type RestoreResult, restoreTogether, type TogetherOptions } from './restore.ts';
import type { Run } from './run.ts';

/** `to` may only be a compose project: any other place can hold one store alone. */
export interface RestoreSetOptions extends TogetherOptions {
  readonly setId: string;
  /** Of the set; all where there is none. */
  readonly only: readonly string[];
}

/** Whether the reference is the id of a set of several backups. */
export async function isSet(run: Run, reference: string): Promise<boolean> {
  const { backups, old } = await run.repository.list();
  const known = [...backups, ...old.flatMap(({ backup }) => backup ?? [])];
  return known.filter(({ metadata }) => metadata.set_id === reference).length > 1;
}

export async function restoreSet(run: Run, options: RestoreSetOptions): Promise<RestoreResult[]> {
  const { setId, only, ...how } = options;
  const manifest = await run.repository.manifests.read(setId).catch((error: unknown) => {
    if (!(error instanceof PkbackupError)) throw error;
    run.emit({ type: 'warning', message: error.message, ...(error.hint ? { hint: error.hint } : {}) });
    return undefined;
  });
  const found = await findBackups(setId, await run.repository.list());
  const backups = inOrder(
    found.filter((one): one is Backup => !isLoose(one)),
    manifest?.stores ?? [],
  );
  const wanted = choose(setId, backups, only);
  const lacks = (manifest?.stores ?? []).filter(
    ({ store }) => !backups.some((backup) => backup.store === store),
  );
  for (const { store } of only.length > 0 ? [] : lacks) {
    run.emit({ type: 'warning', message: `set "${setId}" has no backup of "${store}": it stays as it is` });
  }
  return await restoreTogether(run, wanted, how);
}

function choose(setId: string, backups: readonly Backup[], only: readonly string[]): readonly Backup[] {
  for (const name of only) {
    if (backups.some(({ store }) => store === name)) continue;
    throw new PkbackupError('not_found', `set "${setId}" has no backup of "${name}"`, {
      hint: `it has ${backups.map(({ store }) => store).join(', ')}`,
    });
  }
  return only.length === 0 ? backups : backups.filter(({ store }) => only.includes(store));
}

/** As they were configured when they were saved: who wrote down databases first has them let go first. */
function inOrder(backups: readonly Backup[], stores: readonly { store: string }[]): Backup[] {
  const rank = ({ store }: Backup) => {
    const at = stores.findIndex((one) => one.store === store);
    return at < 0 ? stores.length : at;
  };
  return backups.toSorted((a, b) => rank(a) - rank(b));
}
