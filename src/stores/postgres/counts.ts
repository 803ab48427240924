// What a dump says of its database in numbers: the same words at backup, verify and restore, so that they can be compared.
import type { Counts } from '../../words.ts';
import type { Contents } from './cluster.ts';
import type { DumpCounts, Toc } from './dump-format.ts';

export const noCounts = (): Counts => ({ databases: 0, tables: 0, rows: 0, large_objects: 0, extensions: 0 });

export function addDump(counts: Counts, toc: Toc, { rows, largeObjects }: DumpCounts): void {
  const ofType = (type: string) => toc.entries.filter((entry) => entry.type === type).length;
  add(counts, 'databases', 1);
  add(counts, 'tables', ofType('TABLE'));
  add(
    counts,
    'rows',
    [...rows.values()].reduce((sum, count) => sum + count, 0),
  );
  add(counts, 'large_objects', largeObjects);
  add(counts, 'extensions', ofType('EXTENSION'));
}

export function addContents(counts: Counts, contents: Contents): void {
  add(counts, 'databases', 1);
  add(counts, 'tables', contents.tables);
  add(counts, 'rows', contents.rows);
  add(counts, 'large_objects', contents.largeObjects);
  add(counts, 'extensions', contents.extensions.length);
}

function add(counts: Counts, name: string, count: number): void {
  counts[name] = (counts[name] ?? 0) + count;
}

/** Sentences; only what both sides know is compared. */
export function differences(found: Counts, expected: Counts): string[] {
  return Object.entries(found).flatMap(([name, count]) => {
    const wanted = expected[name];
    return wanted === undefined || wanted === count
      ? []
      : [`${name.replaceAll('_', ' ')}: expected ${wanted}, found ${count}`];
  });
}
