// Collections to a tar, through the API. A server gives them page by page while others may write, so nothing is of a single
// moment: after a collection was read its records are listed again, and what was changed is read again or told.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeEntry, endOfArchive, padding } from '../../archive/tar-format.ts';
import { PkbackupError } from '../../errors.ts';
import type { Counts } from '../../words.ts';
import { readSpooled, writeSpooled } from '../spooled-file.ts';
import type { Snapshot, StoreContext } from '../store.ts';
import type { ChromaApi, Field, Place, RemoteCollection } from './api.ts';
import {
  fileNameOf,
  headOf,
  lineOf,
  type Manifest,
  type ManifestCollection,
  manifestName,
  manifestText,
  RecordHash,
} from './export-format.ts';
import { lengthOfVector } from './json-slices.ts';

const attempts = 3;
/** Characters of an answer; one of many long documents is asked for in smaller pages. */
const pageLength = 4 * 1024 * 1024;
const firstPage = 100;
const mostPerPage = 2000;

export interface ToExport {
  readonly collection: RemoteCollection;
  /** As the backup is to know it, where a restore has set it aside under another name. */
  readonly name?: string;
}

/** All collections of the places, or with `isPart` some. Read when `tar` is; before it returns where others wait for the moment to be over. */
export async function exportCollections(
  api: ChromaApi,
  places: readonly Place[],
  collections: readonly ToExport[],
  context: StoreContext,
  { isPart = false } = {},
): Promise<Snapshot> {
  const pinnedAt = new Date();
  const reading = new Export(api, places, collections, context, isPart);
  if (context.onPinned) {
    await reading.readAll();
    context.onPinned();
  }
  return { pinnedAt, tar: reading.tar(), counts: reading.counts, notes: () => reading.notes };
}

interface Spooled {
  readonly path: string;
  readonly sizeBytes: number;
  readonly entry: Omit<ManifestCollection, 'file'>;
}

interface Progress {
  readonly hash: RecordHash;
  /** Ids that were read; only for a collection that is known to be changed, whose pages may overlap. */
  readonly seen: Set<string> | undefined;
  sizeBytes: number;
  records: number;
  dimension: number | undefined;
}

class Export {
  readonly counts: Counts = { collections: 0, records: 0 };
  readonly notes: string[] = [];
  readonly #api: ChromaApi;
  readonly #places: readonly Place[];
  readonly #collections: readonly ToExport[];
  readonly #context: StoreContext;
  readonly #isPart: boolean;
  readonly #spooled = new Map<ToExport, Spooled | undefined>();

  constructor(
    api: ChromaApi,
    places: readonly Place[],
    collections: readonly ToExport[],
    context: StoreContext,
    isPart: boolean,
  ) {
    this.#api = api;
    this.#places = places;
    this.#collections = collections;
    this.#context = context;
    this.#isPart = isPart;
  }

  async readAll(): Promise<void> {
    for (const one of this.#collections) await this.#spool(one);
  }

  async *tar(): AsyncGenerator<Buffer> {
    const entries: ManifestCollection[] = [];
    for (const one of this.#collections) {
      const spooled = await this.#spool(one);
      if (!spooled) continue;
      const { path, sizeBytes, entry } = spooled;
      const file = fileNameOf(entries.length);
      yield header(file, sizeBytes);
      yield* readSpooled(path, sizeBytes);
      yield padding(sizeBytes);
      await rm(path, { force: true });
      entries.push({ file, ...entry });
    }
    if (!this.#isPart) await this.#lookAgain();
    const manifest = manifestText(this.#manifest(entries));
    yield Buffer.concat([
      header(manifestName, manifest.length),
      manifest,
      padding(manifest.length),
      endOfArchive,
    ]);
  }

  #manifest(collections: ManifestCollection[]): Manifest {
    const databases = this.#places.map(({ tenant, database }) => ({ tenant, database }));
    return { server_version: this.#api.version, databases, collections };
  }

  /** Undefined where it is not there any more. */
  async #spool(one: ToExport): Promise<Spooled | undefined> {
    if (!this.#spooled.has(one)) this.#spooled.set(one, await this.#read(one));
    return this.#spooled.get(one);
  }

  async #read({ collection, name = collection.name }: ToExport): Promise<Spooled | undefined> {
    const { store, emit, scratchDir, signal } = this.#context;
    emit({ type: 'step', store, message: `reading collection "${name}"` });
    const path = join(scratchDir, `collection-${this.#spooled.size}.zst`);
    for (let attempt = 1; ; attempt += 1) {
      const from = new Date().toISOString();
      const progress: Progress = {
        hash: new RecordHash(),
        seen: attempt > 1 ? new Set() : undefined,
        sizeBytes: 0,
        records: 0,
        dimension: collection.dimension,
      };
      let meanwhile: ManifestCollection['meanwhile'];
      try {
        await writeSpooled(path, this.#lines({ ...collection, name }, progress), signal);
        meanwhile = await this.#meanwhile(collection, progress.hash.digest(), progress.records);
      } catch (error) {
        if (!(error instanceof Vanished)) throw error;
        return await this.#vanished(collection, name);
      }
      if (meanwhile === 'changed' && attempt < attempts) {
        emit({
          type: 'step',
          store,
          message: `reading collection "${name}" again: it was changed meanwhile`,
        });
        continue;
      }
      if (meanwhile) this.notes.push(noteOf(name, meanwhile, progress.records));
      this.counts.collections = (this.counts.collections ?? 0) + 1;
      this.counts.records = (this.counts.records ?? 0) + progress.records;
      const { tenant, database } = collection;
      const { sizeBytes, records, dimension = null } = progress;
      const known = { tenant, database, name, dimension, records, sha256: progress.hash.digest() };
      const until = new Date().toISOString();
      return { path, sizeBytes, entry: { ...known, from, until, ...(meanwhile && { meanwhile }) } };
    }
  }

  async *#lines(collection: RemoteCollection, progress: Progress): AsyncGenerator<Buffer> {
    const count = (text: string): Buffer => {
      const bytes = Buffer.from(text);
      progress.sizeBytes += bytes.length;
      return bytes;
    };
    yield count(headOf(collection));
    for await (const page of pagesOf(this.#api, collection, everything)) {
      const [embeddings, documents, metadatas, uris] = everything.map(page.values);
      const lines = page.ids.flatMap((id, at) => {
        if (progress.seen?.has(id)) return [];
        progress.seen?.add(id);
        const [embedding = '', document = 'null'] = [embeddings?.[at], documents?.[at]];
        const [metadata = 'null', uri = 'null'] = [metadatas?.[at], uris?.[at]];
        progress.dimension = dimensionOf(embedding, progress.dimension, collection, id);
        const record = { id, embedding, document, metadata, uri };
        progress.hash.add(record);
        return [lineOf(record)];
      });
      progress.records += lines.length;
      yield count(lines.join(''));
    }
  }

  /** An update of nothing but a vector is not seen. */
  async #meanwhile(
    collection: RemoteCollection,
    before: string,
    records: number,
  ): Promise<ManifestCollection['meanwhile']> {
    const hash = new RecordHash();
    let seen = 0;
    let digest = records === 0 ? hash.digest() : '';
    for await (const page of pagesOf(this.#api, collection, withoutVectors)) {
      const [documents, metadatas, uris] = withoutVectors.map(page.values);
      for (const [at, id] of page.ids.entries()) {
        const [document = 'null', metadata = 'null', uri = 'null'] = [
          documents?.[at],
          metadatas?.[at],
          uris?.[at],
        ];
        hash.add({ id, document, metadata, uri });
        seen += 1;
        if (seen === records) digest = hash.digest();
      }
      if (seen > records) break;
    }
    if (digest !== before) return 'changed';
    return seen > records ? 'grown' : undefined;
  }

  /** One that says it is gone while it is listed is a fault, not a removal. */
  async #vanished(collection: RemoteCollection, name: string): Promise<undefined> {
    const listed = await this.#api.collections(collection);
    if (listed.some(({ id }) => id === collection.id)) {
      throw new PkbackupError(
        'backup_failed',
        `collection "${name}" is listed, and the server does not find it`,
      );
    }
    this.notes.push(`collection "${name}" was removed while the others were read, and is not saved`);
    return undefined;
  }

  /** Collections that came meanwhile. */
  async #lookAgain(): Promise<void> {
    const known = new Set(this.#collections.map(({ collection }) => collection.id));
    for (const place of this.#places) {
      for (const { id, name } of await this.#api.collections(place)) {
        if (!known.has(id) && !isOwnName(name)) {
          this.notes.push(`collection "${name}" was made while the others were read, and is not saved`);
        }
      }
    }
  }
}

const everything: readonly Field[] = ['embeddings', 'documents', 'metadatas', 'uris'];
const withoutVectors: readonly Field[] = ['documents', 'metadatas', 'uris'];

class Vanished extends Error {}

/** Until a page is empty: a server may give less than it is asked for. Pages are of about the same size in bytes. */
export async function* pagesOf(api: ChromaApi, collection: RemoteCollection, include: readonly Field[]) {
  let limit = firstPage;
  for (let offset = 0; ; ) {
    const page = await api.page(collection, { limit, offset }, include);
    if (!page) throw new Vanished(`collection "${collection.name}" is not there any more`);
    if (page.ids.length === 0) return;
    offset += page.ids.length;
    yield page;
    const fitting = Math.floor((page.ids.length * pageLength) / page.length);
    limit = Math.max(1, Math.min(mostPerPage, fitting, limit * 4));
  }
}

/** Counts come from the database of a server, and stay right when its vectors are gone. */
function dimensionOf(
  embedding: string,
  expected: number | undefined,
  { name }: RemoteCollection,
  id: string,
): number {
  const dimension = lengthOfVector(embedding);
  if (dimension !== undefined && dimension > 0 && dimension === (expected ?? dimension)) return dimension;
  const found = dimension === undefined ? embedding.slice(0, 40) || 'nothing' : `${dimension} numbers`;
  throw new PkbackupError(
    'backup_failed',
    `collection "${name}": record ${id.slice(0, 100)} has no good vector: expected ${expected ?? 'some'} numbers, got ${found}`,
    { hint: 'the index of the server is damaged; see its log' },
  );
}

function noteOf(name: string, meanwhile: 'grown' | 'changed', records: number): string {
  return meanwhile === 'grown'
    ? `collection "${name}" grew while it was read: its first ${records} records are saved`
    : `collection "${name}" was changed while it was read, ${attempts} times: what is saved of it is of no single moment`;
}

/** Collections that a restore has made, or set aside. */
export const isOwnName = (name: string): boolean => /^pkbackup-(staged|previous)-[0-9a-f]{8}-\d+$/.test(name);

function header(name: string, size: number): Buffer {
  const mtime = Math.floor(Date.now() / 1000);
  return encodeEntry({ path: Buffer.from(name), type: 'file', size, mode: 0o600, uid: 0, gid: 0, mtime });
}
