// What a server has of a collection that was written to it, compared with what was written: every record with its vector, and
// of some records every number of it.
import { PkbackupError } from '../../errors.ts';
import type { ChromaApi, Field, RemoteCollection } from './api.ts';
import type { CollectionTally } from './check-export.ts';
import { pagesOf } from './export.ts';
import { RecordHash, type RecordTexts } from './export-format.ts';
import { lengthOfVector } from './json-slices.ts';

/** Servers keep 32 bits of a number, and scale the vectors of a cosine index to and fro. */
const tolerance = 1e-6;
const mostSamples = 256;

/** Spread over a collection whose length is not known before its end. */
export class VectorSamples {
  readonly vectors = new Map<string, readonly number[]>();
  #every = 1;

  offer({ id, embedding }: Pick<RecordTexts, 'id' | 'embedding'>, index: number): void {
    if (index % this.#every !== 0) return;
    this.vectors.set(idOf(id), JSON.parse(embedding) as number[]);
    if (this.vectors.size < mostSamples) return;
    this.#every *= 2;
    for (const [at, key] of [...this.vectors.keys()].entries()) if (at % 2 === 1) this.vectors.delete(key);
  }
}

/** Throws `restore_failed` where anything is otherwise. */
export async function readBack(
  api: ChromaApi,
  collection: RemoteCollection,
  written: CollectionTally,
  samples: VectorSamples,
): Promise<void> {
  const hash = new RecordHash();
  let records = 0;
  for await (const page of pagesOf(api, collection, fields)) {
    const [embeddings, documents, metadatas, uris] = fields.map(page.values);
    for (const [at, id] of page.ids.entries()) {
      const [embedding = '', document = 'null'] = [embeddings?.[at], documents?.[at]];
      const [metadata = 'null', uri = 'null'] = [metadatas?.[at], uris?.[at]];
      hash.add({ id, document, metadata, uri });
      if (!isGood(embedding, written.dimension, samples.vectors.get(idOf(id)))) {
        throw wrong(collection, `record ${id.slice(0, 100)} has not the vector that was written`);
      }
    }
    records += page.ids.length;
  }
  if (records !== written.records) {
    throw wrong(collection, `expected ${written.records} records, the server has ${records}`);
  }
  if (hash.digest() !== written.hash.digest()) {
    throw wrong(collection, 'the server has other ids, documents or metadata than those that were written');
  }
}

const fields: readonly Field[] = ['embeddings', 'documents', 'metadatas', 'uris'];

function isGood(
  embedding: string,
  dimension: number | undefined,
  expected: readonly number[] | undefined,
): boolean {
  if (lengthOfVector(embedding) !== dimension) return false;
  if (!expected) return true;
  const found = JSON.parse(embedding) as number[];
  return expected.every((number, at) => isNear(number, found[at] ?? Number.NaN));
}

function isNear(a: number, b: number): boolean {
  return Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(a));
}

const idOf = (text: string): string => JSON.parse(text) as string;

const wrong = ({ name }: RemoteCollection, what: string): PkbackupError =>
  new PkbackupError('restore_failed', `collection "${name}": ${what}`);
