// As what a backup is restored. It goes back to its own store; it can be told to go to another one, and where its content
// can be that of several kinds, the place that it goes to says which.
import type { ConfiguredStore } from '../config/types.ts';
import { restorableAs } from '../legacy/index.ts';
import type { Backup } from '../repository/index.ts';
import { isPath } from '../stores/is-path.ts';
import type { Kind } from '../words.ts';

export function ofStore(backup: Backup, store: string): Backup {
  return { ...backup, store, metadata: { ...backup.metadata, store } };
}

export function restoredAs(
  backup: Backup,
  place: { readonly configured: ConfiguredStore | undefined; readonly to: string | undefined },
): Backup {
  const kind = kindFor(backup, place);
  if (kind === backup.metadata.kind) return backup;
  // A directory counts files, a database counts other things.
  return { ...backup, metadata: { ...backup.metadata, kind, counts: {} } };
}

function kindFor(
  { metadata }: Backup,
  { configured, to }: { configured: ConfiguredStore | undefined; to: string | undefined },
): Kind {
  const kinds = metadata.form === undefined ? [metadata.kind] : restorableAs(metadata.form);
  if (to !== undefined && isPath(to) && kinds.includes('directory')) return 'directory';
  return kinds.find((kind) => kind === configured?.kind) ?? metadata.kind;
}
