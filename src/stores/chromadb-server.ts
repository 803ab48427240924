// Asking a running ChromaDB from inside its container: the images have bash but no curl, and container addresses cannot be
// reached from hosts with Docker Desktop. One fixed script; the requests come as arguments.
import { randomUUID } from 'node:crypto';
import { type Container, type Docker, throwIfAborted } from '../docker/index.ts';
import { PkbackupError } from '../errors.ts';
import type { Counts } from '../words.ts';
import type { Collection } from './chromadb-files.ts';
import { shortHash } from './samples.ts';

const script = `
boundary=$1 port=$2
shift 2
for request; do
  exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 7
  printf '%s' "$request" >&3
  cat <&3
  exec 3>&-
  printf '%s' "$boundary"
done
`;

export interface Answer {
  readonly status: number;
  readonly body: string;
}

export interface Request {
  readonly path: string;
  /** Sent with POST where it is there. */
  readonly body?: object;
}

const requestsAtOnce = 40;
const askDeadlineMs = 300_000;
/** Of one answer with vectors; Docker gives what a command says in one piece. */
const pageBytes = 4 * 1024 * 1024;
const mostPerPage = 1000;
/** A number in JSON, at most. */
const bytesPerNumber = 25;
const healthDeadlineMs = 120_000;
export const defaultPort = 8000;

export interface Server {
  readonly docker: Docker;
  readonly container: Container;
  readonly port?: number | undefined;
  readonly signal: AbortSignal;
}

/** Throws `unhealthy` when it does not serve in time. */
export async function waitForServer(server: Server): Promise<void> {
  const { docker, container, signal } = server;
  await docker.waitUntilHealthy(container.id, {
    signal,
    deadlineMs: healthDeadlineMs,
    probe: async () => (await apiOf(server)) !== undefined,
  });
}

/**
 * Compares every collection with what the files said: the number of records, and a page of them with their vectors, because
 * counts come from the database and stay right when the index files are gone. Throws `restore_failed`.
 */
export async function compareWithServer(server: Server, collections: readonly Collection[]): Promise<Counts> {
  const api = await apiOf(server);
  if (!api) throw new PkbackupError('restore_failed', `container "${server.container.name}" does not answer`);
  const answers = await askAll(server, countingRequests(api, collections));
  for (const [index, collection] of collections.entries()) {
    compareOne(collection, answers[index * 2], answers[index * 2 + 1]);
  }
  const records = collections.reduce((sum, collection) => sum + collection.records, 0);
  return { collections: collections.length, records };
}

/**
 * How many records it has of these collections now, and whether it can still give vectors of them. One that is not there is no
 * finding, but missing in the counts.
 */
export async function countServed(
  server: Server,
  collections: readonly Collection[],
): Promise<{ findings: string[]; counts: Counts }> {
  const api = await apiOf(server);
  if (!api) throw new PkbackupError('unhealthy', `container "${server.container.name}" does not answer`);
  const answers = await askAll(server, countingRequests(api, collections));
  const findings: string[] = [];
  const counts = { collections: 0, records: 0 };
  for (const [index, { name }] of collections.entries()) {
    const [count, page] = answers.slice(index * 2);
    if (count?.status !== 200) continue;
    counts.collections += 1;
    counts.records += Number(count.body);
    const wanted = Math.min(10, Number(count.body));
    const vectors = (parse(page?.body ?? '') as { embeddings?: unknown[] } | undefined)?.embeddings ?? [];
    if (page?.status !== 200 || vectors.length < wanted)
      findings.push(`collection "${name}": the server cannot give its vectors: ${said(page)}`);
  }
  return { findings, counts };
}

/** Two for each: how many, and a page with vectors. */
function countingRequests(api: Api, collections: readonly Collection[]): Request[] {
  return collections.flatMap((collection) => [
    { path: `${api.collection(collection)}/count${api.query(collection)}` },
    {
      path: `${api.collection(collection)}/get${api.query(collection)}`,
      body: { limit: 10, include: ['embeddings'] },
    },
  ]);
}

/**
 * Every record of every collection with its vector: counts come from the database, and stay right when the index files are
 * gone or another collection's. Gives what is wrong, as sentences, what was counted, and the vectors of the `wanted` records
 * (by `vectorKey`; ids as hashes).
 */
export async function readEverything(
  server: Server,
  collections: readonly Collection[],
  wanted: ReadonlySet<string>,
): Promise<{ findings: string[]; counts: Counts; vectors: Map<string, readonly number[]> }> {
  const api = await apiOf(server);
  if (!api) throw new PkbackupError('unhealthy', `container "${server.container.name}" does not answer`);
  const findings: string[] = [];
  const vectors = new Map<string, readonly number[]>();
  let records = 0;
  for (const collection of collections) {
    const name = `collection "${collection.name}"`;
    const read = await readCollection(server, api, collection, (id, vector) => {
      const record = shortHash(id);
      if (wanted.has(record)) vectors.set(vectorKey(collection, record), vector);
    });
    records += read.records;
    if (read.error !== undefined) findings.push(`${name}: the server cannot give its vectors: ${read.error}`);
    else if (read.records !== collection.records) {
      findings.push(`${name}: expected ${collection.records} records with vectors, found ${read.records}`);
    }
  }
  return { findings, counts: { collections: collections.length, records }, vectors };
}

async function readCollection(
  server: Server,
  api: Api,
  collection: Collection,
  onRecord: (id: string, vector: readonly number[]) => void,
): Promise<{ records: number; error?: string }> {
  const dimension = collection.dimension ?? 1;
  const limit = Math.max(1, Math.min(mostPerPage, Math.floor(pageBytes / (dimension * bytesPerNumber))));
  for (let records = 0; ; ) {
    const path = `${api.collection(collection)}/get${api.query(collection)}`;
    const body = { limit, offset: records, include: ['embeddings'] };
    const [page] = await askAll(server, [{ path, body }]);
    if (page?.status !== 200) return { records, error: said(page) };
    const { ids = [], embeddings } = (parse(page.body) ?? {}) as { ids?: string[]; embeddings?: unknown[] };
    for (const [index, id] of ids.entries()) {
      const vector = embeddings?.[index];
      if (!isVector(vector, collection.dimension)) return { records, error: 'one is missing, or not whole' };
      records += 1;
      onRecord(id, vector);
    }
    if (ids.length < limit || records > collection.records) return { records };
  }
}

function isVector(value: unknown, dimension: number | undefined): value is number[] {
  return (
    Array.isArray(value) &&
    (dimension === undefined || value.length === dimension) &&
    value.every((number) => Number.isFinite(number))
  );
}

function compareOne(collection: Collection, count: Answer | undefined, page: Answer | undefined): void {
  const name = `collection "${collection.name}"`;
  if (count?.status !== 200) throw wrong(`${name}: the server cannot count it: ${said(count)}`);
  if (Number(count.body) !== collection.records) {
    throw wrong(
      `${name}: expected ${collection.records} records, the server has ${count.body.trim().slice(0, 50)}`,
    );
  }
  if (page?.status !== 200) throw wrong(`${name}: the server cannot give its vectors: ${said(page)}`);
  const expected = Math.min(10, collection.records);
  const vectors = (parse(page.body) as { embeddings?: unknown[] } | undefined)?.embeddings ?? [];
  if (vectors.length < expected) throw wrong(`${name}: expected ${expected} vectors, got ${vectors.length}`);
}

const wrong = (message: string) => new PkbackupError('restore_failed', message);
const said = (answer: Answer | undefined) =>
  answer ? `${answer.status} ${answer.body.trim().slice(0, 200)}` : 'no answer';

/** What names a collection in a request. */
type Addressed = Pick<Collection, 'id' | 'tenant' | 'database'>;

export const vectorKey = ({ id }: Pick<Collection, 'id'>, record: string): string => `${id} ${record}`;

interface Api {
  readonly hasDatabases: boolean;
  collection(collection: Addressed): string;
  query(collection: Addressed): string;
}

const apiV2: Api = {
  hasDatabases: true,
  collection: ({ id, tenant, database }) =>
    `/api/v2/tenants/${encodeURIComponent(tenant)}/databases/${encodeURIComponent(database)}/collections/${encodeURIComponent(id)}`,
  query: () => '',
};
/** Before 0.6. */
const apiV1: Api = {
  hasDatabases: false,
  collection: ({ id }) => `/api/v1/collections/${encodeURIComponent(id)}`,
  query: ({ tenant, database }) => `?${new URLSearchParams({ tenant, database })}`,
};

/** Undefined where it does not answer. */
export async function apiOf(server: Server): Promise<Api | undefined> {
  const answers = await askAll(server, [{ path: '/api/v2/heartbeat' }, { path: '/api/v1/heartbeat' }]);
  const [isV2, isV1] = answers.map(({ status, body }) => status === 200 && body.includes('heartbeat'));
  return isV2 ? apiV2 : isV1 ? apiV1 : undefined;
}

/** In the order of the requests. */
export async function askAll(server: Server, requests: readonly Request[]): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (let at = 0; at < requests.length; at += requestsAtOnce) {
    throwIfAborted(server.signal);
    answers.push(...(await ask(server, requests.slice(at, at + requestsAtOnce))));
  }
  return answers;
}

async function ask(server: Server, requests: readonly Request[]): Promise<Answer[]> {
  const { docker, container, port = defaultPort, signal } = server;
  const boundary = randomUUID();
  const { exitCode, stdout, stderr } = await docker.exec(container.id, {
    command: ['bash', '-c', script, 'bash', boundary, String(port), ...requests.map(format)],
    deadlineMs: askDeadlineMs,
    signal,
  });
  if (exitCode === 0) return stdout.toString('latin1').split(boundary).slice(0, -1).map(parseAnswer);
  const why = stderr.trim().split('\n').at(-1) || `exit code ${exitCode}`;
  throw new PkbackupError('failed', `ask the server in container "${container.name}": ${why}`);
}

/** The answer ends with the connection. Not HTTP/1.0: ChromaDB 0.6 refuses it. */
function format({ path, body }: Request): string {
  const text = body ? JSON.stringify(body) : '';
  const content = body
    ? `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n`
    : '';
  return `${body ? 'POST' : 'GET'} ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${content}\r\n${text}`;
}

/** `text` holds one character per byte. */
function parseAnswer(text: string): Answer {
  const end = text.indexOf('\r\n\r\n');
  const head = end < 0 ? text : text.slice(0, end);
  const body = end < 0 ? '' : text.slice(end + 4);
  const isChunked = /^transfer-encoding:\s*chunked/im.test(head);
  return {
    status: Number(/^HTTP\/1\.\d (\d{3})/.exec(head)?.[1] ?? 0),
    body: Buffer.from(isChunked ? joinChunks(body) : body, 'latin1').toString('utf8'),
  };
}

function joinChunks(body: string): string {
  let joined = '';
  for (let at = 0; at < body.length; ) {
    const lineEnd = body.indexOf('\r\n', at);
    const size = Number.parseInt(body.slice(at, lineEnd), 16);
    if (lineEnd < 0 || !(size > 0)) break;
    joined += body.slice(lineEnd + 2, lineEnd + 2 + size);
    at = lineEnd + 2 + size + 2;
  }
  return joined;
}

/** Undefined where it is not JSON. */
export function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
