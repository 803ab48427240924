// What `pkbackup` alone shows: per store the newest backup, and what to do where there is none. Pure functions.
import type { ListedBackup, ListResult } from '../operations/list.ts';
import { backupFields } from './backup-json.ts';
import { alignColumns, formatAge, formatBytes, oneLine, plural } from './format.ts';
import { proofOf } from './list-result.ts';
import type { TextLook } from './text-look.ts';

export interface Overview {
  readonly listed: ListResult;
  readonly configured: readonly { readonly name: string; readonly kind: string }[];
  readonly repository: string;
  readonly freeBytes: number | undefined;
}

export function overviewText(overview: Overview, look: TextLook): string[] {
  const stores = storesOf(overview);
  const free = overview.freeBytes === undefined ? '' : ` (${formatBytes(overview.freeBytes)} free)`;
  const rows = stores.map(({ store, kind, newest }) => {
    if (newest === undefined) return [`  ${oneLine(store)}`, kind, look.paint('warning', 'never backed up')];
    const { createdAt, metadata } = newest;
    const age = formatAge(createdAt, look.now);
    return [
      `  ${oneLine(store)}`,
      kind,
      age,
      formatBytes(metadata.size_bytes),
      proofOf(newest, look.now, look.paint),
    ];
  });
  return [
    `${plural(stores.length, 'store')} · repository ${overview.repository}${free}`,
    '',
    ...(rows.length > 0 ? alignColumns(rows) : ['  nothing is backed up yet']),
    '',
    'pkbackup backup makes a backup of each store; pkbackup --help shows all commands',
  ];
}

interface StoreRow {
  readonly store: string;
  readonly kind: string;
  readonly newest: ListedBackup['backup'] | undefined;
}

/** Stores of the config file first, in its order; then those of which only backups are known. */
function storesOf({ listed, configured }: Overview): StoreRow[] {
  const rows = new Map<string, StoreRow>();
  for (const { name, kind } of configured) rows.set(name, { store: name, kind, newest: undefined });
  for (const { store, backups } of listed.stores) {
    const newest = backups.find(({ backup }) => !backup.metadata.safety)?.backup;
    const kind = rows.get(store)?.kind ?? newest?.metadata.kind ?? '';
    rows.set(store, { store, kind, newest });
  }
  return [...rows.values()];
}

export function overviewJson(overview: Overview): Record<string, unknown> {
  return {
    free_bytes: overview.freeBytes,
    stores: storesOf(overview).map(({ store, kind, newest }) => {
      return { store, kind, newest: newest === undefined ? null : backupFields(newest) };
    }),
  };
}
