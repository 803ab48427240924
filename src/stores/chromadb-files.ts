// What the files of a ChromaDB say, read from a copy. The records' texts, metadata and newest vectors are in
// chroma.sqlite3; after every 1000 records the vectors are moved into index files (HNSW) and are in those alone. So counts
// that are right prove nothing about vectors: the index files are compared with the database.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { messageOf } from '../errors.ts';
import type { Counts } from '../words.ts';
import { type IndexMetadata, readIndexMetadata, UnknownPickle } from './chromadb-pickle.ts';

export const databaseName = 'chroma.sqlite3';
/** With a transaction that was not finished the journal belongs to it. */
export const databaseFiles: readonly string[] = [
  databaseName,
  `${databaseName}-journal`,
  `${databaseName}-wal`,
];
const indexFiles = ['header.bin', 'data_level0.bin', 'length.bin', 'link_lists.bin', 'index_metadata.pickle'];

export interface Collection {
  readonly id: string;
  readonly name: string;
  readonly tenant: string;
  readonly database: string;
  readonly records: number;
  /** Of its vectors; undefined as long as it has none. */
  readonly dimension: number | undefined;
}

export interface ChromaFiles {
  readonly counts: Counts;
  readonly collections: readonly Collection[];
  /** `sysdb 10, metadb 6, embeddings_queue 2`: the only thing that tells which server can open them. */
  readonly schema: string;
}

/** `directory` holds a copy of the database files; a journal is rolled back there. Throws what SQLite throws. */
export function readChromaFiles(directory: string): ChromaFiles {
  using database = openCopy(directory);
  const collections = collectionsOf(database);
  const records = collections.reduce((sum, collection) => sum + collection.records, 0);
  return { counts: { collections: collections.length, records }, collections, schema: schemaOf(database) };
}

export interface CheckedFiles {
  readonly findings: string[];
  /** What this reader does not know. */
  readonly notChecked: string[];
  readonly files: ChromaFiles | undefined;
}

/**
 * What is wrong, as sentences. `directory` holds the database files and, of each segment, `header.bin` and
 * `index_metadata.pickle`; `sizes` says how large each file of the content is, by its path.
 */
export async function checkChromaFiles(
  directory: string,
  sizes: ReadonlyMap<string, number>,
): Promise<CheckedFiles> {
  const checked = { findings: [] as string[], notChecked: [] as string[], files: undefined };
  if (!sizes.has(databaseName)) return { ...checked, findings: [`there is no ${databaseName}`] };
  try {
    using database = openCopy(directory);
    const damage = integrityOf(database);
    if (damage.length > 0) return { ...checked, findings: damage };
    for (const segment of vectorSegments(database)) {
      const { findings, notChecked } = await checkSegment(database, directory, segment, sizes);
      const name = `collection "${segment.collectionName}"`;
      checked.findings.push(...findings.map((what) => `${name}: ${what}`));
      checked.notChecked.push(...notChecked.map((what) => `${name}: ${what}`));
    }
    return { ...checked, files: readChromaFiles(directory) };
  } catch (error) {
    return { ...checked, findings: [`${databaseName} cannot be read: ${messageOf(error)}`] };
  }
}

function openCopy(directory: string): DatabaseSync & Disposable {
  const database = new DatabaseSync(join(directory, databaseName));
  return Object.assign(database, { [Symbol.dispose]: () => database.close() });
}

function integrityOf(database: DatabaseSync): string[] {
  const rows = database.prepare('PRAGMA integrity_check(10)').all();
  const said = rows.map((row) => String(row.integrity_check));
  return said.length === 1 && said[0] === 'ok' ? [] : said.map((line) => `${databaseName}: ${line}`);
}

function collectionsOf(database: DatabaseSync): Collection[] {
  const rows = database
    .prepare(
      `SELECT c.id, c.name, c.dimension, d.name AS database, d.tenant_id AS tenant, s.id AS segment
       FROM collections c JOIN databases d ON d.id = c.database_id
       LEFT JOIN segments s ON s.collection = c.id AND s.scope = 'METADATA' ORDER BY c.id`,
    )
    .all();
  return rows.map((row) => ({
    id: String(row.id),
    name: String(row.name),
    tenant: String(row.tenant),
    database: String(row.database),
    records: recordsOf(database, String(row.id), row.segment),
    dimension: typeof row.dimension === 'number' ? row.dimension : undefined,
  }));
}

/** What is in the queue and not yet in the table counts too; the server would take it in before it answers. */
function recordsOf(database: DatabaseSync, collection: string, segment: unknown): number {
  if (typeof segment !== 'string') return 0;
  const table = database.prepare('SELECT count(*) AS n FROM embeddings WHERE segment_id = ?').get(segment);
  const behind = database
    .prepare(
      `WITH last AS (
         SELECT id, operation, max(seq_id) FROM embeddings_queue
         WHERE topic LIKE '%/' || ? AND seq_id > ? AND operation <> 1 GROUP BY id)
       SELECT sum(CASE WHEN operation = 3 THEN -(e.id IS NOT NULL) ELSE e.id IS NULL END) AS n
       FROM last LEFT JOIN embeddings e ON e.segment_id = ? AND e.embedding_id = last.id`,
    )
    .get(collection, maxSequence(database, segment) ?? 0, segment);
  return Number(table?.n ?? 0) + Number(behind?.n ?? 0);
}

function schemaOf(database: DatabaseSync): string {
  const rows = database.prepare('SELECT dir, max(version) AS version FROM migrations GROUP BY dir').all();
  return rows.map(({ dir, version }) => `${dir} ${version}`).join(', ');
}

interface Segment {
  readonly id: string;
  readonly collection: string;
  readonly collectionName: string;
  readonly dimension: number | undefined;
  readonly metadataSegment: string | undefined;
}

function vectorSegments(database: DatabaseSync): Segment[] {
  const rows = database
    .prepare(
      `SELECT s.id, c.id AS collection, c.name, c.dimension, m.id AS metadata
       FROM segments s JOIN collections c ON c.id = s.collection
       LEFT JOIN segments m ON m.collection = c.id AND m.scope = 'METADATA' WHERE s.scope = 'VECTOR'`,
    )
    .all();
  return rows.map((row) => ({
    id: String(row.id),
    collection: String(row.collection),
    collectionName: String(row.name),
    dimension: typeof row.dimension === 'number' ? row.dimension : undefined,
    metadataSegment: typeof row.metadata === 'string' ? row.metadata : undefined,
  }));
}

type Checked = Pick<CheckedFiles, 'findings' | 'notChecked'>;

/**
 * A segment without a number in `max_seq_id` was never written to files, and all its vectors are in the queue; or it is of
 * a server before 0.5.6, which keeps the number in the pickle and the queue whole.
 */
async function checkSegment(
  database: DatabaseSync,
  directory: string,
  segment: Segment,
  sizes: ReadonlyMap<string, number>,
): Promise<Checked> {
  const sequence = maxSequence(database, segment.id);
  const isWritten = sequence !== undefined || sizes.has(`${segment.id}/index_metadata.pickle`);
  const missing = isWritten ? indexFiles.filter((name) => !sizes.get(`${segment.id}/${name}`)) : [];
  if (!isWritten || missing.length > 0) {
    const findings = lostVectors(database, segment, { labels: undefined, sequence: sequence ?? 0 });
    const names = missing.map((name) => `${segment.id}/${name}`).join(', ');
    return {
      findings: [...findings, ...(isWritten ? [`${names} is missing or empty`] : [])],
      notChecked: [],
    };
  }
  const header = await readFile(join(directory, segment.id, 'header.bin'));
  const pickle = await readFile(join(directory, segment.id, 'index_metadata.pickle'));
  return checkIndex(database, segment, sequence, { header, pickle, sizes });
}

interface IndexFiles {
  readonly header: Buffer;
  readonly pickle: Buffer;
  readonly sizes: ReadonlyMap<string, number>;
}

function checkIndex(
  database: DatabaseSync,
  segment: Segment,
  tableSequence: number | undefined,
  { header, pickle, sizes }: IndexFiles,
): Checked {
  let held: IndexMetadata;
  try {
    held = readIndexMetadata(pickle);
  } catch (error) {
    const what = `index_metadata.pickle cannot be read: ${messageOf(error)}`;
    return error instanceof UnknownPickle
      ? { findings: [], notChecked: [what] }
      : { findings: [what], notChecked: [] };
  }
  const sequence = tableSequence ?? held.maxSequence;
  const findings = checkHeader(header, segment, sizes);
  if (sequence === undefined) {
    return { findings, notChecked: ['up to which record its index goes: the server is too old to say it'] };
  }
  const elements = elementsIn(header);
  const expected = recordsUpTo(database, segment, sequence);
  if (elements !== undefined && expected > elements) {
    findings.push(`the index files hold ${elements} vectors, and ${expected} records need one`);
  } else findings.push(...lostVectors(database, segment, { labels: held.labels, sequence }));
  return { findings, notChecked: [] };
}

/**
 * The header of hnswlib: version (4 bytes), offset (8), capacity (8), elements (8), bytes per element (8), where in an
 * element its label is (8), and where its vector (8), which ends where the label begins.
 */
function elementsIn(header: Buffer): number | undefined {
  if (header.length !== 100 || header.readInt32LE(0) !== 1) return undefined;
  return Number(header.readBigUInt64LE(20));
}

function checkHeader(header: Buffer, segment: Segment, sizes: ReadonlyMap<string, number>): string[] {
  const elements = elementsIn(header);
  if (elements === undefined) return [];
  const bytesPerElement = Number(header.readBigUInt64LE(28));
  const dimension = Number(header.readBigUInt64LE(36) - header.readBigUInt64LE(44)) / 4;
  const size = (name: string) => sizes.get(`${segment.id}/${name}`) ?? 0;
  const findings: string[] = [];
  if (size('data_level0.bin') < elements * bytesPerElement) {
    findings.push(
      `data_level0.bin is too short: expected ${elements} vectors of ${bytesPerElement} bytes, got ${size('data_level0.bin')} bytes`,
    );
  }
  if (size('length.bin') < elements * 4) findings.push(`length.bin is too short for ${elements} vectors`);
  if (segment.dimension !== undefined && segment.dimension !== dimension) {
    findings.push(`its index is of another one: expected ${segment.dimension} dimensions, got ${dimension}`);
  }
  return findings;
}

/** Before 1.0 a sequence number is a blob of 8 bytes, big-endian, which compares as the number does. */
const upTo = `e.segment_id = ? AND CASE typeof(e.seq_id) WHEN 'blob' THEN e.seq_id <= ? ELSE e.seq_id <= ? END`;

function recordsUpTo(database: DatabaseSync, segment: Segment, sequence: number): number {
  const row = database
    .prepare(`SELECT count(*) AS n FROM embeddings e WHERE ${upTo}`)
    .get(segment.metadataSegment ?? '', blobOf(sequence), sequence);
  return Number(row?.n ?? 0);
}

/** The vector of a record is in the index by its sequence number, or in the queue by the same. */
function lostVectors(
  database: DatabaseSync,
  segment: Segment,
  { labels, sequence }: { labels: IndexMetadata['labels'] | undefined; sequence: number },
): string[] {
  const queued = database.prepare(
    'SELECT vector IS NOT NULL AS given FROM embeddings_queue WHERE seq_id = ?',
  );
  const before = database.prepare(
    `SELECT 1 FROM embeddings_queue WHERE id = ? AND vector IS NOT NULL AND topic LIKE '%/' || ?`,
  );
  /** What a change leaves out stays as it was. */
  const isKept = (id: string) => labels?.has(id) || before.get(id, segment.collection) !== undefined;
  const records = database
    .prepare('SELECT embedding_id AS id, seq_id AS seq FROM embeddings WHERE segment_id = ?')
    .iterate(segment.metadataSegment ?? '');
  let notHeld = 0;
  let lost = 0;
  for (const { id, seq } of records) {
    const number = numberOf(seq) ?? -1;
    if (number <= sequence) notHeld += (labels?.has(String(id)) ?? true) ? 0 : 1;
    else {
      const row = queued.get(number);
      if (row === undefined || (!row.given && !isKept(String(id)))) lost += 1;
    }
  }
  return [
    ...(notHeld > 0 ? [`${notHeld} records are not in its index: it is of another collection or time`] : []),
    ...(lost > 0 ? [`${lost} vectors are neither in an index file nor in the queue`] : []),
  ];
}

function blobOf(sequence: number): Buffer {
  const blob = Buffer.alloc(8);
  blob.writeBigUInt64BE(BigInt(sequence));
  return blob;
}

function maxSequence(database: DatabaseSync, segment: string): number | undefined {
  return numberOf(
    database.prepare('SELECT seq_id FROM max_seq_id WHERE segment_id = ?').get(segment)?.seq_id,
  );
}

function numberOf(value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (!(value instanceof Uint8Array)) return Number(value);
  return value.reduce((sum, byte) => sum * 256 + byte, 0);
}
