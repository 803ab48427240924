// The content of a backup that was taken through the API, read to its last line: every record is good JSON with a vector of
// the right length, and there are as many as the manifest says, and the same.
import { messageOf, PkbackupError } from '../../errors.ts';
import type { Counts } from '../../words.ts';
import { differencesOf } from '../counts.ts';
import type { BackupFacts, Content, ContentReport } from '../store.ts';
import type { Place, RemoteCollection } from './api.ts';
import { type Manifest, placesKey, RecordHash, readExport, recordOf } from './export-format.ts';

const mostFindings = 20;

/** What was read of one collection. */
export class CollectionTally {
  readonly collection: RemoteCollection;
  readonly file: string;
  records = 0;
  dimension: number | undefined;
  readonly hash = new RecordHash();

  constructor(collection: RemoteCollection, file: string) {
    this.collection = collection;
    this.file = file;
    this.dimension = collection.dimension;
  }
}

export async function checkExport(
  content: Content,
  backup: BackupFacts,
  signal: AbortSignal,
): Promise<ContentReport> {
  const findings: string[] = [];
  const tallies: CollectionTally[] = [];
  let manifest: Manifest | undefined;
  try {
    for await (const piece of readExport(content.tar())) {
      signal.throwIfAborted();
      const tally = tallies.at(-1);
      if (piece.type === 'collection') tallies.push(new CollectionTally(piece.collection, piece.file));
      else if (piece.type === 'manifest') manifest = piece.manifest;
      else if (tally) {
        const problem = checkRecord(piece.line, tally);
        if (problem !== undefined && findings.length < mostFindings) findings.push(problem);
      }
    }
  } catch (error) {
    if (!(error instanceof PkbackupError)) throw error;
    findings.push(messageOf(error));
  }
  if (manifest) findings.push(...differencesFrom(manifest, tallies));
  const records = tallies.reduce((sum, tally) => sum + tally.records, 0);
  const counts: Counts = { collections: tallies.length, records };
  findings.push(...differencesOf(backup.counts, counts));
  const databases = manifest?.databases.map(placesKey);
  return { findings: findings.slice(0, mostFindings), counts, ...(databases && { databases }) };
}

/** What the files hold otherwise than the manifest says. */
export function differencesFrom(manifest: Manifest, tallies: readonly CollectionTally[]): string[] {
  const found = new Map(tallies.map((tally) => [tally.file, tally]));
  const differences = manifest.collections.flatMap((expected) => {
    const name = `collection "${expected.name}"`;
    const tally = found.get(expected.file);
    found.delete(expected.file);
    if (!tally) return [`${name}: ${expected.file} is missing`];
    const { collection } = tally;
    if (keyOf(collection) !== keyOf(expected)) {
      return [
        `${name}: ${expected.file} holds collection "${collection.name}" of database "${collection.database}"`,
      ];
    }
    if (tally.records !== expected.records) {
      return [`${name}: expected ${expected.records} records, found ${tally.records}`];
    }
    if ((tally.dimension ?? null) !== expected.dimension) {
      return [
        `${name}: expected vectors of ${expected.dimension} numbers, found ${tally.dimension ?? 'none'}`,
      ];
    }
    return tally.hash.digest() === expected.sha256
      ? []
      : [`${name}: its records are not those that were read`];
  });
  return [...differences, ...[...found.keys()].map((file) => `the manifest does not know ${file}`)];
}

const keyOf = ({ tenant, database, name }: Place & { name: string }) =>
  `${placesKey({ tenant, database })}/${name}`;

/** What is wrong with it. */
function checkRecord(line: string, tally: CollectionTally): string | undefined {
  tally.records += 1;
  const where = `collection "${tally.collection.name}": record ${tally.records}`;
  try {
    const { embedding } = JSON.parse(line) as { embedding?: unknown };
    const problem = wrongVector(embedding, tally.dimension);
    if (problem !== undefined) return `${where}: ${problem}`;
    tally.dimension ??= (embedding as number[]).length;
    tally.hash.add(recordOf(line));
    return undefined;
  } catch (error) {
    return `${where}: ${error instanceof PkbackupError ? error.message : 'it is not JSON'}`;
  }
}

function wrongVector(value: unknown, dimension: number | undefined): string | undefined {
  if (!Array.isArray(value) || value.length === 0) return 'it has no vector';
  if (!value.every((number) => Number.isFinite(number))) return 'its vector does not hold numbers alone';
  if (dimension === undefined || value.length === dimension) return undefined;
  return `expected a vector of ${dimension} numbers, found ${value.length}`;
}
