// The names that the scripts gave. A name says when, and no more: what a file is, its content says, because names collide and
// lie. Only of a tar that could hold anything, or of JSON, the name says whether it is one of theirs at all.
import { basename, dirname } from 'node:path/posix';
import type { OldForm } from './forms.ts';

export type NamedForm = OldForm | 'links' | 'json' | 'manifest';

export interface OldName {
  /** What the scripts would have put there. */
  readonly form: NamedForm;
  readonly at?: Date;
  /** The name says a day, and `at` is its beginning. */
  readonly isDay?: boolean;
}

const stamp = '(?<day>\\d{8})[_-](?<time>\\d{6})';
const patterns: readonly [RegExp, NamedForm][] = [
  [new RegExp(`^chromadb-backup-${stamp}\\.tar\\.gz$`), 'chroma-volume'],
  [new RegExp(`^neo4j-backup-${stamp}\\.tar\\.gz$`), 'neo4j-volume'],
  [new RegExp(`^backup_${stamp}\\.tar\\.gz$`), 'links'],
  [new RegExp(`^memory_backup_${stamp}\\.tar\\.gz$`), 'memory-system'],
  [/^backup_(?<iso>\d{4}-\d\d-\d\dT\d\d[-:]\d\d[-:]\d\d(?:[-.]\d+)?Z)\.tar\.gz$/, 'memories'],
  [new RegExp(`^(?:db_)?backup_${stamp}\\.sqlite$`), 'sqlite-file'],
  [new RegExp(`^(?:manual_backup|pre_restore)_${stamp}\\.sqlite$`), 'sqlite-file'],
  [/^backup_(?<day>\d{8})\.sqlite$/, 'sqlite-file'],
  [
    /^db\.backup\.(?:(?<epoch>\d{10}|\d{13})|(?<day>\d{4}-?\d\d-?\d\d)(?:[_-](?<time>\d{6}))?)\.sqlite$/,
    'sqlite-file',
  ],
  [/^(?:backup|(?:full_backup|backup|dump)_(?<day>\d{8})(?:_(?<time>\d{6}))?)\.sql$/, 'sqlite-text'],
  [/^postgres-(?:full-)?dump\.sql$/, 'postgres-text'],
  [/^repos(?:_backup)?_(?<day>\d{8})(?:_(?<time>\d{6}))?\.tar\.gz$/, 'files'],
  [/^(?:collections|embeddings)_backup\.json$/, 'json'],
  [/^config_(?<day>\d{8})\.json$/, 'json'],
];
/** In a directory that is named by the time. */
const patternsInRuns: readonly [RegExp, NamedForm][] = [
  [/^neo4j\.dump(?:\.gz)?$/, 'neo4j-dump'],
  [/^events\.db(?:\.gz)?$/, 'sqlite-file'],
  [/^chromadb\.tar(?:\.gz)?$/, 'chroma-directory'],
  [/^manifest\.json$/, 'manifest'],
];
const runName = /^(?<day>\d{8})_(?<time>\d{6})$/;

/** Directories of the unified scripts, which have a directory for each run. */
export const families = ['neo4j', 'sqlite', 'chromadb', 'unified'];

export const isRunName = (name: string): boolean => runName.test(name);

/** Undefined for names that no script gave. `name` may have directories before it; those of a path on this host too. */
export function readOldName(name: string): OldName | undefined {
  const run = runName.exec(basename(dirname(name)))?.groups;
  const known = run ? [...patternsInRuns, ...patterns] : patterns;
  for (const [pattern, form] of known) {
    const match = pattern.exec(basename(name));
    if (!match) continue;
    const groups = match.groups?.day || match.groups?.iso || match.groups?.epoch ? match.groups : run;
    const at = groups && timeOf(groups);
    return { form, ...(at && { at }), ...(at && groups?.day && !groups.time && { isDay: true }) };
  }
  return undefined;
}

/** Local time, but for those that say UTC; undefined where it says none, or none that there was. */
function timeOf({ day, time, iso, epoch }: Record<string, string | undefined>): Date | undefined {
  if (iso !== undefined) return valid(utcOf(iso));
  if (epoch !== undefined) return valid(new Date(Number(epoch) * (epoch.length === 10 ? 1000 : 1)));
  const [, year, month, date] = /^(\d{4})-?(\d\d)-?(\d\d)$/.exec(day ?? '') ?? [];
  const [, hour = '0', minute = '0', second = '0'] = /^(\d\d)(\d\d)(\d\d)$/.exec(time ?? '') ?? [];
  if (year === undefined || month === undefined || date === undefined) return undefined;
  const at = new Date(
    Number(year),
    Number(month) - 1,
    Number(date),
    Number(hour),
    Number(minute),
    Number(second),
  );
  const isThatDay = at.getMonth() === Number(month) - 1 && at.getDate() === Number(date);
  return isThatDay && Number(minute) < 60 && Number(second) < 60 ? valid(at) : undefined;
}

/** `2025-12-01T02-00-00-000Z` */
function utcOf(iso: string): Date {
  const [day, clock = ''] = iso.slice(0, -1).split('T');
  const [hour, minute, second, fraction = '0'] = clock.split(/[-:.]/);
  return new Date(`${day}T${hour}:${minute}:${second}.${fraction.padEnd(3, '0').slice(0, 3)}Z`);
}

function valid(at: Date): Date | undefined {
  return Number.isNaN(at.getTime()) ? undefined : at;
}
