// Samples of a ChromaDB: the nearest neighbours of a few stored vectors. They are asked while the server still runs, so that
// nobody is held for them, and kept only where the copy shows that nobody has written to the collection in between. A
// restored index that is another one, or of another time, answers otherwise, whatever its counts say.
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import { type Collection, databaseName, readChromaFiles } from './chromadb-files.ts';
import {
  type Answer,
  apiOf,
  askAll,
  parse,
  type Request,
  type Server,
  vectorKey,
} from './chromadb-server.ts';
import { samplesOf, shortHash } from './samples.ts';
import type { Sample } from './store.ts';

const schema = z.object({
  tenant: z.string(),
  database: z.string(),
  collection: z.string(),
  /** Its id, as a hash. */
  record: z.string(),
  /** The beginning of its vector, made one long. */
  direction: z.array(z.number()).max(16),
  /** Ids as hashes, the nearest first, and how far they are. */
  neighbours: z.array(z.string()).max(16),
  distances: z.array(z.number()).max(16),
});

type Neighbours = z.infer<typeof schema>;

const takenSchema = schema.extend({
  /** By the clock of the server, in seconds since 1970. */
  takenAt: z.number(),
  /** In the collection at that time. */
  records: z.number(),
});

const tenant = 'default_tenant';
const mostCollections = 8;
const perCollection = 2;
const neighbourCount = 5;
const directionLength = 4;
/** Indexes of other versions find nearly the same; one of another collection finds others. */
const tolerance = 2e-3;

interface Sampled extends Pick<Collection, 'id' | 'name' | 'tenant' | 'database'> {
  readonly records: number;
}

/** Asks in a few rounds. Nothing where the server is too old for the API. */
export async function takeSamples(server: Server): Promise<Sample[]> {
  const api = await apiOf(server);
  if (!api?.hasDatabases) return [];
  const [heartbeat, list] = await askAll(server, [
    { path: '/api/v2/heartbeat' },
    { path: `/api/v2/tenants/${tenant}/databases?limit=10` },
  ]);
  const takenAt = Math.floor(
    Number((json(heartbeat) as { 'nanosecond heartbeat'?: number })?.['nanosecond heartbeat']) / 1e9,
  );
  if (!Number.isFinite(takenAt)) return [];
  const databases = namesIn(json(list));
  const collections = await countedCollections(server, databases);
  const places = collections.flatMap((collection) =>
    spread(collection.records).map((offset) => ({ collection, offset })),
  );
  const pages = await askAll(
    server,
    places.map(({ collection, offset }) => get(api.collection(collection), { limit: 1, offset })),
  );
  const records = places.flatMap(({ collection }, index) => {
    const [record] = recordsIn(json(pages[index]));
    return record ? [{ collection, ...record }] : [];
  });
  const answers = await askAll(
    server,
    records.map(({ collection, vector }) => query(api.collection(collection), vector)),
  );
  return records.flatMap(({ collection, id, vector }, index) => {
    const found = neighboursIn(json(answers[index]));
    if (!found) return [];
    const { tenant, database, name, records } = collection;
    const said = { record: shortHash(id), direction: directionOf(vector), ...found };
    return [{ tenant, database, collection: name, ...said, takenAt, records }];
  });
}

async function countedCollections(server: Server, databases: readonly string[]): Promise<Sampled[]> {
  const path = (database: string) =>
    `/api/v2/tenants/${tenant}/databases/${encodeURIComponent(database)}/collections`;
  const lists = await askAll(
    server,
    databases.map((database) => ({ path: `${path(database)}?limit=${mostCollections}` })),
  );
  const known = databases
    .flatMap((database, index) => {
      return collectionsIn(json(lists[index])).map(({ id, name }) => ({ id, name, tenant, database }));
    })
    .slice(0, mostCollections);
  const counts = await askAll(
    server,
    known.map(({ id, database }) => ({ path: `${path(database)}/${encodeURIComponent(id)}/count` })),
  );
  const counted = known.map((one, index) => ({ ...one, records: Number(counts[index]?.body) }));
  return counted.filter(({ records }) => records > 0);
}

/** Not the ends: what is lost there, counts tell. */
function spread(records: number): number[] {
  const places = Array.from({ length: perCollection }, (_, index) =>
    Math.floor((records * (index + 1)) / (perCollection + 1)),
  );
  return [...new Set(places)];
}

/**
 * Those of a collection that nobody has written to since they were taken. `directory` holds the copied database files;
 * `times` when each file of the copy was written, in seconds since 1970. A write is in the queue with its time, or it has
 * gone on into the index files.
 */
export function keepTrue(
  samples: readonly Sample[] | undefined,
  directory: string,
  times: ReadonlyMap<string, number>,
): Sample[] {
  const taken = samplesOf(samples, takenSchema);
  if (taken.length === 0) return [];
  const { collections } = readChromaFiles(directory);
  const database = new DatabaseSync(join(directory, databaseName));
  try {
    return taken.flatMap(({ takenAt, records, ...sample }) => {
      const collection = collections.find((one) => isOf(sample, one));
      if (!collection || collection.records !== records) return [];
      return lastWriteTo(database, collection.id, times) < takenAt ? [sample] : [];
    });
  } finally {
    database.close();
  }
}

const isOf = (sample: Neighbours, one: Collection): boolean =>
  one.name === sample.collection && one.database === sample.database && one.tenant === sample.tenant;

/** In seconds since 1970; times of SQLite are UTC. */
function lastWriteTo(database: DatabaseSync, collection: string, times: ReadonlyMap<string, number>): number {
  const queued = database
    .prepare(`SELECT unixepoch(max(created_at)) AS at FROM embeddings_queue WHERE topic LIKE '%/' || ?`)
    .get(collection);
  const segments = database
    .prepare(`SELECT id FROM segments WHERE collection = ? AND scope = 'VECTOR'`)
    .all(collection);
  const written = segments.map(({ id }) => times.get(`${id}/data_level0.bin`) ?? 0);
  return Math.max(Number(queued?.at ?? 0), ...written);
}

/** The hashes of the ids whose vectors `compareSamples` needs. */
export function wantedRecords(samples: readonly Sample[] | undefined): ReadonlySet<string> {
  return new Set(samplesOf(samples, schema).map(({ record }) => record));
}

/** Asks again; `vectors` are those of the wanted records, by collection and the hash of the id. */
export async function compareSamples(
  server: Server,
  samples: readonly Sample[] | undefined,
  collections: readonly Collection[],
  vectors: ReadonlyMap<string, readonly number[]>,
): Promise<{ findings: string[]; asked: number }> {
  const api = await apiOf(server);
  const known = samplesOf(samples, schema);
  const findings: string[] = [];
  for (const sample of known) {
    const collection = collections.find((one) => isOf(sample, one));
    const vector = collection && vectors.get(vectorKey(collection, sample.record));
    const name = `collection "${sample.collection}"`;
    if (!collection || !vector || !api) {
      findings.push(`${name}: a record of the backup is gone`);
      continue;
    }
    const [answer] = await askAll(server, [
      query(api.collection(collection), vector, sample.neighbours.length),
    ]);
    const found = neighboursIn(json(answer));
    if (!areClose(sample.direction, directionOf(vector)))
      findings.push(`${name}: a vector is another one than at the backup`);
    else if (!found)
      findings.push(
        `${name}: the neighbours of a vector cannot be asked for: ${answer?.status} ${answer?.body.slice(0, 200)}`,
      );
    else if (!isSame(sample, found))
      findings.push(`${name}: a vector has other neighbours than at the backup`);
  }
  return { findings, asked: known.length };
}

/** The index is approximate, and of equally near ones any may be told. */
function isSame(expected: Neighbours, found: Pick<Neighbours, 'neighbours' | 'distances'>): boolean {
  const common = expected.neighbours.filter((id) => found.neighbours.includes(id)).length;
  return common * 2 > expected.neighbours.length || areClose(expected.distances, found.distances);
}

function areClose(expected: readonly number[], found: readonly number[]): boolean {
  return (
    expected.length === found.length &&
    expected.every((number, index) => {
      return Math.abs(number - (found[index] ?? Number.NaN)) <= tolerance * Math.max(1, Math.abs(number));
    })
  );
}

/** Of length one, because a server may keep vectors so. */
function directionOf(vector: readonly number[]): number[] {
  const length = Math.hypot(...vector) || 1;
  return vector.slice(0, directionLength).map((number) => Math.round((number / length) * 1e4) / 1e4);
}

const get = (path: string, body: object): Request => ({
  path: `${path}/get`,
  body: { ...body, include: ['embeddings'] },
});

const query = (path: string, vector: readonly number[], count = neighbourCount): Request => ({
  path: `${path}/query`,
  body: { query_embeddings: [vector], n_results: count, include: ['distances'] },
});

const json = (answer: Answer | undefined): unknown =>
  answer?.status === 200 ? parse(answer.body) : undefined;

const named = z.array(z.looseObject({ id: z.string(), name: z.string() }));
const namesIn = (value: unknown): string[] => (named.safeParse(value).data ?? []).map(({ name }) => name);
const collectionsIn = (value: unknown) => named.safeParse(value).data ?? [];

const page = z.looseObject({ ids: z.array(z.string()), embeddings: z.array(z.array(z.number())) });

function recordsIn(value: unknown): { id: string; vector: number[] }[] {
  const found = page.safeParse(value).data;
  return (found?.ids ?? []).flatMap((id, index) => {
    const vector = found?.embeddings[index];
    return vector ? [{ id, vector }] : [];
  });
}

const nearest = z.looseObject({ ids: z.array(z.array(z.string())), distances: z.array(z.array(z.number())) });

function neighboursIn(value: unknown): Pick<Neighbours, 'neighbours' | 'distances'> | undefined {
  const { ids: [ids] = [], distances: [distances] = [] } = nearest.safeParse(value).data ?? {};
  if (!ids || !distances) return undefined;
  return {
    neighbours: ids.map((id) => shortHash(id)),
    distances: distances.map((one) => Math.round(one * 1e5) / 1e5),
  };
}
