// How a ChromaDB lies in an archive that was taken through its API: one file of JSON lines for each collection, whose first
// line says what the collection is and every other one is a record, and at the end the manifest, which says what was read.
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { nameOf } from '../../archive/tar-format.ts';
import { scanTar } from '../../archive/tar-scan.ts';
import { PkbackupError } from '../../errors.ts';
import type { Place, RemoteCollection } from './api.ts';
import { canonical, inOneLine, membersOf } from './json-slices.ts';

export const manifestName = 'manifest.json';
const format = 'pkbackup-chromadb';
const longestLine = 256 * 1024 * 1024;

export const fileNameOf = (index: number): string =>
  `collections/${String(index + 1).padStart(5, '0')}.jsonl`;
const isCollectionFile = /^collections\/\d{5,}\.jsonl$/;

/** A record, each value as its text. */
export interface RecordTexts {
  readonly id: string;
  readonly embedding: string;
  readonly document: string;
  readonly metadata: string;
  readonly uri: string;
}

const optional = ['document', 'metadata', 'uri'] as const;

/** With the line end. What the record has not is left out. */
export function lineOf(record: RecordTexts): string {
  const more = optional.filter((name) => record[name] !== 'null').map((name) => `,"${name}":${record[name]}`);
  return `${inOneLine(`{"id":${record.id},"embedding":${record.embedding}${more.join('')}}`)}\n`;
}

/** The texts are not looked into. Throws where it is no record. */
export function recordOf(line: string): RecordTexts {
  const members = membersOf(line);
  const [id, embedding] = [members.get('id'), members.get('embedding')];
  if (id === undefined || !id.startsWith('"') || embedding === undefined) {
    throw new PkbackupError('bad_backup', 'a record has no id or no embedding');
  }
  const [document = 'null', metadata = 'null', uri = 'null'] = optional.map((name) => members.get(name));
  return { id, embedding, document, metadata, uri };
}

export function headOf(collection: RemoteCollection): string {
  const { tenant, database, name, id, dimension = null, metadata, configuration, schema } = collection;
  const known = JSON.stringify({ tenant, database, name, id, dimension });
  const texts = `"metadata":${metadata},"configuration":${configuration},"schema":${schema}`;
  return `${inOneLine(`{"collection":{${known.slice(1, -1)},${texts}}}`)}\n`;
}

const headSchema = z.object({
  tenant: z.string().min(1),
  database: z.string().min(1),
  name: z.string().min(1),
  id: z.string(),
  dimension: z.int().positive().nullish(),
});

export function collectionIn(head: string): RemoteCollection {
  const text = membersOf(head).get('collection');
  const parsed = headSchema.safeParse(text === undefined ? undefined : JSON.parse(text));
  if (!parsed.success || text === undefined) {
    throw new PkbackupError(
      'bad_backup',
      'a file of a collection does not begin with what the collection is',
    );
  }
  const members = membersOf(text);
  const { dimension, ...known } = parsed.data;
  const [metadata = 'null', configuration = 'null', schema = 'null'] = [
    members.get('metadata'),
    members.get('configuration'),
    members.get('schema'),
  ];
  return { ...known, dimension: dimension ?? undefined, metadata, configuration, schema };
}

/** What a record says but for its vector, in whatever order and form a server says it. */
export class RecordHash {
  readonly #hash = createHash('sha256');

  add({ id, document, metadata, uri }: Omit<RecordTexts, 'embedding'>): void {
    // Servers make nothing of a mapping with nothing in it.
    const told = metadata === '{}' ? 'null' : metadata;
    for (const text of [id, document, told, uri]) this.#hash.update(`${canonical(text)}\n`);
  }

  /** Of what was added until now. */
  digest(): string {
    return this.#hash.copy().digest('hex');
  }
}

const manifestSchema = z.object({
  format: z.literal(format),
  version: z.literal(1),
  server_version: z.string(),
  databases: z.array(z.object({ tenant: z.string().min(1), database: z.string().min(1) })),
  collections: z.array(
    z.object({
      file: z.string(),
      tenant: z.string(),
      database: z.string(),
      name: z.string(),
      dimension: z.int().positive().nullable(),
      records: z.int().nonnegative(),
      /** Of the records without their vectors. */
      sha256: z.string(),
      /** When it was read. */
      from: z.string(),
      until: z.string(),
      /** `grown`: records came after those that are in it; `changed`: it is of no single moment. */
      meanwhile: z.enum(['grown', 'changed']).optional(),
    }),
  ),
});

export type Manifest = Omit<z.infer<typeof manifestSchema>, 'format' | 'version'>;
export type ManifestCollection = Manifest['collections'][number];

export function manifestText(manifest: Manifest): Buffer {
  return Buffer.from(`${JSON.stringify({ format, version: 1, ...manifest }, null, 2)}\n`);
}

function manifestOf(text: string): Manifest {
  try {
    return manifestSchema.parse(JSON.parse(text)) as Manifest;
  } catch (cause) {
    throw new PkbackupError('bad_backup', `its ${manifestName} cannot be read`, { cause });
  }
}

export type Piece =
  | { readonly type: 'collection'; readonly file: string; readonly collection: RemoteCollection }
  | { readonly type: 'record'; readonly line: string }
  | { readonly type: 'manifest'; readonly manifest: Manifest };

/** In the order of the tar: each collection with its records, then the manifest. Throws `bad_backup`. */
export async function* readExport(tar: AsyncIterable<Buffer>): AsyncGenerator<Piece> {
  let lines: Lines | undefined;
  let hasManifest = false;
  for await (const piece of scanTar(tar)) {
    if (piece.type === 'data') {
      yield* lines?.take(piece.bytes) ?? [];
      continue;
    }
    yield* lines?.end() ?? [];
    const name = nameOf(piece.entry);
    lines = piece.entry.type === 'file' ? linesOf(name) : undefined;
    if (lines === undefined || hasManifest) throw notOurs(name);
    hasManifest = name === manifestName;
  }
  yield* lines?.end() ?? [];
  if (!hasManifest) throw new PkbackupError('bad_backup', `it has no ${manifestName} at its end`);
}

/** Whether an archive was taken through the API, by its first entry. */
export async function isExport(tar: AsyncIterable<Buffer>): Promise<boolean> {
  for await (const piece of scanTar(tar))
    return piece.type === 'entry' && linesOf(nameOf(piece.entry)) !== undefined;
  return false;
}

export const placesKey = ({ tenant, database }: Place): string =>
  [tenant, database].map(encodeURIComponent).join('/');

/** What `placesKey` gave; undefined where it is something else. */
export function placeIn(key: string): Place | undefined {
  const [tenant, database, ...more] = key.split('/').map(decode);
  return tenant && database && more.length === 0 ? { tenant, database } : undefined;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}

interface Lines {
  take(bytes: Buffer): Iterable<Piece>;
  end(): Iterable<Piece>;
}

function linesOf(name: string): Lines | undefined {
  if (name === manifestName) return new ManifestText();
  return isCollectionFile.test(name) ? new CollectionLines(name) : undefined;
}

class ManifestText implements Lines {
  readonly #parts: Buffer[] = [];

  take(bytes: Buffer): Piece[] {
    this.#parts.push(Buffer.from(bytes));
    return [];
  }

  end(): Piece[] {
    return [{ type: 'manifest', manifest: manifestOf(Buffer.concat(this.#parts).toString('utf8')) }];
  }
}

class CollectionLines implements Lines {
  readonly #file: string;
  #begun: Buffer[] = [];
  #begunBytes = 0;
  #hasHead = false;

  constructor(file: string) {
    this.#file = file;
  }

  *take(bytes: Buffer): Generator<Piece> {
    let from = 0;
    for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, from)) {
      const line = Buffer.concat([...this.#begun, bytes.subarray(from, end)]).toString('utf8');
      this.#begun = [];
      this.#begunBytes = 0;
      from = end + 1;
      yield this.#pieceOf(line);
    }
    if (from === bytes.length) return;
    this.#begunBytes += bytes.length - from;
    if (this.#begunBytes > longestLine)
      throw new PkbackupError('bad_backup', `${this.#file} has a line without an end`);
    this.#begun.push(Buffer.from(bytes.subarray(from)));
  }

  end(): Piece[] {
    if (this.#begun.length > 0 || !this.#hasHead) {
      throw new PkbackupError('bad_backup', `${this.#file} ends in the middle of a line`);
    }
    return [];
  }

  #pieceOf(line: string): Piece {
    if (this.#hasHead) return { type: 'record', line };
    this.#hasHead = true;
    return { type: 'collection', file: this.#file, collection: collectionIn(line) };
  }
}

function notOurs(name: string): PkbackupError {
  return new PkbackupError(
    'bad_backup',
    `"${name}" is no part of a ChromaDB that was saved through its API`,
    {
      hint: 'a backup of the files of a server is restored into a volume',
    },
  );
}
