// Backups that were never made, published as real ones are: for what is decided by their metadata alone.
import type { Metadata, Repository } from '../../src/repository/index.ts';

/** Gives the stem. */
export async function publish(
  repository: Repository,
  store: string,
  createdAt: Date,
  more: Partial<Metadata> = {},
): Promise<string> {
  await using publication = await repository.begin(store, createdAt, 'gzip');
  await publication.file.write(Buffer.alloc(more.size_bytes ?? 5));
  await publication.commit({
    schema_version: 1,
    backup_file: publication.archiveName,
    created_at: createdAt.toISOString(),
    store,
    kind: 'directory',
    source: {},
    size_bytes: 5,
    sha256: '0'.repeat(64),
    counts: {},
    checks: [],
    ...more,
  });
  return publication.stem;
}
