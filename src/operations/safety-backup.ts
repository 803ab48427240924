// What a restore replaced becomes a backup of its own: listed as STORE@pre-restore, restorable like any other.
import { hostname } from 'node:os';
import { writeArchive } from '../archive/write-archive.ts';
import { type Backup, type Metadata, schemaVersion } from '../repository/index.ts';
import type { RestorePlan, Snapshot, StoreContext } from '../stores/store.ts';
import { version } from '../version.ts';
import type { Run } from './run.ts';

/** One that was published before a crash, or before a failure to write that down. */
export async function findSafetyBackup(run: Run, store: string, setId: string): Promise<Backup | undefined> {
  const { backups } = await run.repository.list();
  return backups.find((backup) => {
    const { metadata } = backup;
    return backup.store === store && metadata.safety === true && metadata.set_id === setId;
  });
}

/** Where it does not fit, nothing is lost: the previous data stays where it is until it does. */
export async function warnOfLittleRoom(run: Run, store: string, plan: RestorePlan): Promise<void> {
  const { presentBytes } = plan;
  const freeBytes = await run.repository.freeBytes();
  if (presentBytes === undefined || freeBytes === undefined) return;
  const last = (await run.repository.list()).backups.find((backup) => backup.store === store)?.metadata;
  const ratio = last?.raw_size_bytes ? last.size_bytes / last.raw_size_bytes : 1;
  const neededBytes = Math.ceil(presentBytes * ratio);
  if (neededBytes <= freeBytes) return;
  run.emit({
    type: 'warning',
    store,
    message: `the present data takes about ${neededBytes} bytes as a backup, and ${freeBytes} are free in the repository`,
    hint: 'where it does not fit it stays beside the restored data, and every command tries again',
  });
}

/** The caller MUST hold the store's lock. */
export async function publishSafetyBackup(
  run: Run,
  restored: Pick<Metadata, 'store' | 'kind' | 'source' | 'databases' | 'only'>,
  previous: Snapshot,
  context: StoreContext,
  { setId, downtimeMs }: { setId: string; downtimeMs?: number | undefined },
): Promise<Backup | undefined> {
  const { store, kind, source, databases, only } = restored;
  const startedMs = Date.now();
  try {
    await using publication = await run.repository.begin(store, new Date(), 'gzip');
    const summary = await writeArchive(previous.tar, publication.file, {
      compression: 'gzip',
      signal: context.signal,
      ...(previous.skip ? { skip: previous.skip } : {}),
    });
    await publication.commit({
      schema_version: schemaVersion,
      backup_file: publication.archiveName,
      created_at: previous.pinnedAt.toISOString(),
      store,
      kind,
      set_id: setId,
      source,
      quiesce: 'stop',
      // Of the restore: it says how long the next one will take.
      ...(downtimeMs === undefined ? {} : { downtime_ms: downtimeMs }),
      size_bytes: summary.sizeBytes,
      raw_size_bytes: summary.rawSizeBytes,
      content_bytes: summary.contentBytes,
      entries: summary.entries,
      sha256: summary.sha256,
      compression: 'gzip',
      counts: previous.counts ?? {},
      // Those that were replaced bear the same names.
      ...(databases === undefined ? {} : { databases }),
      // The rest stayed where it was.
      ...(only === undefined ? {} : { only }),
      duration_ms: Date.now() - startedMs,
      hostname: hostname(),
      tool_version: version,
      safety: true,
      checks: [],
    });
    const { backups } = await run.repository.list();
    return backups.find((backup) => backup.stem === publication.stem);
  } finally {
    await previous.dispose?.();
  }
}
