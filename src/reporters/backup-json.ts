// A backup as JSON: what its metadata says, where it is, and how to name it. Times are UTC, sizes exact.
import type { ListedBackup } from '../operations/list.ts';

type Backup = ListedBackup['backup'];

export function backupFields({ metadata, stem, path }: Backup): Record<string, unknown> {
  return { ...metadata, stem, path };
}
