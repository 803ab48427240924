// Records to a collection, many at once. One that is there already is left as it is by the server, so a batch whose answer
// was lost can be sent again.
import type { ChromaApi, RemoteCollection } from './api.ts';
import type { CollectionTally } from './check-export.ts';
import type { RecordTexts } from './export-format.ts';
import { lengthOfVector } from './json-slices.ts';
import { VectorSamples } from './read-back.ts';

const batchLength = 4 * 1024 * 1024;
const mostPerBatch = 2000;

export class BatchWriter {
  /** Of what was written, to compare with what the server has. */
  readonly samples = new VectorSamples();
  readonly #api: ChromaApi;
  readonly #collection: RemoteCollection;
  readonly #tally: CollectionTally;
  readonly #most: number;
  #records: RecordTexts[] = [];
  #length = 0;

  constructor(
    api: ChromaApi,
    collection: RemoteCollection,
    tally: CollectionTally,
    most: number | undefined,
  ) {
    this.#api = api;
    this.#collection = collection;
    this.#tally = tally;
    this.#most = Math.min(mostPerBatch, most ?? mostPerBatch);
  }

  async write(record: RecordTexts): Promise<void> {
    this.samples.offer(record, this.#tally.records);
    this.#tally.records += 1;
    this.#tally.dimension ??= lengthOfVector(record.embedding);
    this.#tally.hash.add(record);
    this.#records.push(record);
    this.#length += record.embedding.length + record.document.length + record.metadata.length;
    if (this.#records.length >= this.#most || this.#length >= batchLength) await this.#send();
  }

  async end(): Promise<void> {
    if (this.#records.length > 0) await this.#send();
  }

  async #send(): Promise<void> {
    const records = this.#records;
    this.#records = [];
    this.#length = 0;
    await this.#api.add(this.#collection, bodyOf(records));
  }
}

/** What nobody has is left out: some servers do not take a list of nothing. */
function bodyOf(records: readonly RecordTexts[]): string {
  const lists = [
    listOf(
      'ids',
      records.map(({ id }) => id),
    ),
    listOf(
      'embeddings',
      records.map(({ embedding }) => embedding),
    ),
    listOf(
      'documents',
      records.map(({ document }) => document),
    ),
    listOf(
      'metadatas',
      records.map(({ metadata }) => (metadata === '{}' ? 'null' : metadata)),
    ),
    listOf(
      'uris',
      records.map(({ uri }) => uri),
    ),
  ];
  return `{${lists.filter(Boolean).join(',')}}`;
}

const listOf = (name: string, values: readonly string[]): string =>
  values.every((value) => value === 'null') ? '' : `"${name}":[${values.join(',')}]`;
