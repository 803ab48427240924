// The answer of `pkbackup list`: each store with its backups, what proves them, and what else lies there. Pure functions.
import type { ListedBackup, ListedOld, ListedStore, ListResult } from '../operations/list.ts';
import { backupFields } from './backup-json.ts';
import { alignColumns, formatAge, formatBytes, formatDuration, formatLocalTime, oneLine } from './format.ts';
import type { Paint } from './palette.ts';
import type { TextLook } from './text-look.ts';

export function listText(result: ListResult, repository: string, look: TextLook): string[] {
  const blocks = result.stores.map((store) => storeLines(store, look));
  if (blocks.length === 0 && result.old.length === 0)
    blocks.push([`no backups in ${repository} (make the first with: pkbackup backup)`]);
  if (result.old.length > 0) blocks.push(oldLines(result.old, look));
  if (result.leftovers.length > 0) {
    const rows = result.leftovers.map(({ name, reason, state }) => {
      const shown = state === 'damaged' ? look.paint('bad', 'DAMAGED') : state;
      return [`  ${shown}`, oneLine(name), oneLine(reason)];
    });
    blocks.push([look.paint('warning', `not a whole backup, in ${repository}:`), ...alignColumns(rows)]);
  }
  return blocks.flatMap((lines, index) => (index === 0 ? lines : ['', ...lines]));
}

function oldLines(old: readonly ListedOld[], look: TextLook): string[] {
  const rows = old.map((file) => [
    `  ${oneLine(file.name)}`,
    formatLocalTime(file.createdAt),
    formatAge(file.createdAt, look.now),
    formatBytes(file.sizeBytes),
    file.what,
    usesOf(file, look.paint),
  ]);
  const canBeAdopted = old.some(({ backup, isOfScripts }) => backup && isOfScripts);
  return [
    look.paint('strong', 'made by older scripts'),
    ...alignColumns(rows, [3]),
    ...(canBeAdopted ? ['  pkbackup adopt --dry-run shows which of them can be put under retention'] : []),
  ];
}

/** What can be done with it. */
function usesOf({ backup, listed, notes }: ListedOld, paint: Paint): string {
  const reason = oneLine(listed?.reason ?? '');
  if (backup === undefined) return listed?.isDamaged ? `${paint('bad', 'DAMAGED')}: ${reason}` : reason;
  const set = backup.metadata.set_id === undefined ? [] : [`set ${oneLine(backup.metadata.set_id)}`];
  return [`can be restored to "${oneLine(backup.store)}"`, ...set, ...notes.map(oneLine)].join(', ');
}

function storeLines({ store, backups, others }: ListedStore, look: TextLook): string[] {
  const kinds = new Set(backups.map(({ backup }) => backup.metadata.kind));
  const head = `${look.paint('strong', oneLine(store))} (${[...kinds].join(', ')})`;
  return [
    head,
    ...alignColumns(
      backups.map((listed) => rowOf(listed, look)),
      [3],
    ),
    ...(others ? [othersLine(store, others)] : []),
  ];
}

function othersLine(store: string, { count, oldest }: NonNullable<ListedStore['others']>): string {
  const all = `pkbackup list ${oneLine(store)} --all`;
  return `  and ${count} more, back to ${formatLocalTime(oldest)} (${all})`;
}

function rowOf({ backup, reference }: ListedBackup, { paint, now }: TextLook): string[] {
  const { metadata, createdAt, store } = backup;
  const shortReference = reference.startsWith(`${store}@`) ? reference.slice(store.length) : reference;
  return [
    `  ${oneLine(shortReference)}`,
    formatLocalTime(createdAt),
    formatAge(createdAt, now),
    formatBytes(metadata.size_bytes),
    proofOf(backup, now, paint),
    marksOf(backup),
  ];
}

type Backup = ListedBackup['backup'];

const proofs = {
  checksum: 'checksum verified',
  archive: 'verified',
  content: 'content verified',
  drill: 'drilled',
};

/** The newest check counts, and the newest drill; damage is shown until a check of that level is passed. */
export function proofOf({ metadata, isDamaged }: Backup, now: Date, paint: Paint): string {
  const check = metadata.checks.findLast(({ ok }) => ok !== isDamaged);
  if (check === undefined) return paint('dim', 'not verified');
  if (isDamaged) return paint('bad', `DAMAGED (found${whenOf(check, now)})`);
  const drill = metadata.checks.findLast(({ ok, level }) => ok && level === 'drill');
  const newest = check === drill ? [] : [`${proofs[check.level]}${whenOf(check, now)}`];
  return paint('good', [...newest, ...(drill ? [drillText(drill, now)] : [])].join(', '));
}

type Check = Backup['metadata']['checks'][number];

function whenOf({ at }: Check, now: Date): string {
  const time = new Date(at);
  return Number.isNaN(time.getTime()) ? '' : ` ${formatAge(time, now)}`;
}

function drillText(drill: Check, now: Date): string {
  const { recovery_ms: recoveryMs } = drill;
  const time = recoveryMs === undefined ? '' : `, ${formatDuration(recoveryMs)}`;
  return `${proofs.drill}${whenOf(drill, now)}${time}`;
}

function marksOf({ metadata }: Backup): string {
  const marks: string[] = [];
  if (metadata.pinned)
    marks.push(typeof metadata.pinned === 'string' ? `pinned "${oneLine(metadata.pinned)}"` : 'pinned');
  if (metadata.adopted) marks.push('made by an older script');
  if (metadata.safety) marks.push('before a restore');
  else if (metadata.set_id !== undefined) marks.push(`set ${oneLine(metadata.set_id)}`);
  return marks.join(', ');
}

export function listJson({ stores, leftovers, old }: ListResult): Record<string, unknown> {
  return {
    stores: stores.map(({ store, backups }) => ({
      store,
      backups: backups.map(({ backup, reference }) => ({ reference, ...backupFields(backup) })),
    })),
    leftovers,
    old: old.map(oldFields),
  };
}

/** Of a file of an older script. */
export function oldFields({ name, path, what, createdAt, sizeBytes, notes, backup, listed }: ListedOld) {
  return {
    name,
    path,
    what,
    created_at: createdAt.toISOString(),
    size_bytes: sizeBytes,
    can_be_restored: backup !== undefined,
    ...(backup && { store: backup.store, kind: backup.metadata.kind, form: backup.metadata.form }),
    ...(backup?.metadata.set_id !== undefined && { set_id: backup.metadata.set_id }),
    ...(listed && { reason: listed.reason, hint: listed.hint, is_damaged: listed.isDamaged }),
    notes,
  };
}
