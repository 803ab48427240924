// A client of a real ChromaDB server over its published port, and the containers it runs in.
import { request as httpRequest } from 'node:http';
import { text as readText } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromaImage, containerOf, makeContainer, stateOf } from '../docker/bed.ts';

const database = '/api/v2/tenants/default_tenant/databases/default_database';

export interface Chroma {
  readonly id: string;
  /** Looked up for each call: the port is another one after every start. */
  call(method: string, path: string, body?: object): Promise<unknown>;
  createCollection(name: string, syncThreshold?: number): Promise<string>;
  /** Records r0, r1 ...; their vectors are those of other numbers where `shift` is given, their ids of another prefix. */
  add(
    collection: string,
    from: number,
    count: number,
    other?: { shift?: number; prefix?: string },
  ): Promise<void>;
  count(collection: string): Promise<number>;
  /** Every record with its vector, by id. */
  everything(collection: string): Promise<Map<string, number[]>>;
  nearest(collection: string, vector: number[]): Promise<string>;
}

export async function startChroma(
  volume: string,
  options: { path?: string; image?: string; name?: string; labels?: Record<string, string> } = {},
) {
  const id = await makeContainer({
    image: options.image ?? chromaImage,
    ...(options.name ? { name: options.name } : {}),
    ...(options.labels ? { labels: options.labels } : {}),
    volumes: { [volume]: options.path ?? '/data' },
    hostConfig: { PortBindings: { '8000/tcp': [{ HostIp: '127.0.0.1', HostPort: '0' }] } },
  });
  await untilHealthy(id);
  return clientOf(id);
}

export async function untilHealthy(id: string): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt += 1) {
    const { State } = await containerOf(id).inspect();
    if (State.Health?.Status === 'healthy') return;
    await sleep(200);
  }
  throw new Error(`container ${id} is ${(await stateOf(id)).status} and not healthy`);
}

export function clientOf(id: string): Chroma {
  async function call(method: string, path: string, body?: object): Promise<unknown> {
    const { NetworkSettings } = await containerOf(id).inspect();
    const port = NetworkSettings.Ports['8000/tcp']?.[0]?.HostPort;
    const { status, text } = await send(method, `http://127.0.0.1:${port}${path}`, body);
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  }
  return {
    id,
    call,
    async createCollection(name, syncThreshold) {
      // In the words of before 1.0, which every server understands.
      const metadata = syncThreshold
        ? { 'hnsw:sync_threshold': syncThreshold, 'hnsw:batch_size': Math.min(100, syncThreshold) }
        : undefined;
      const made = await call('POST', `${database}/collections`, { name, ...(metadata ? { metadata } : {}) });
      return (made as { id: string }).id;
    },
    async add(collection, from, count, { shift = 0, prefix = 'r' } = {}) {
      const ids = Array.from({ length: count }, (_, at) => from + at);
      await call('POST', `${database}/collections/${collection}/add`, {
        ids: ids.map((n) => `${prefix}${n}`),
        embeddings: ids.map((n) => vectorOf(n + shift)),
        documents: ids.map((n) => `document number ${n}`),
        metadatas: ids.map((n) => ({ n })),
      });
    },
    async count(collection) {
      return Number(await call('GET', `${database}/collections/${collection}/count`));
    },
    async everything(collection) {
      const all = new Map<string, number[]>();
      for (let offset = 0; ; offset += 1000) {
        const page = (await call('POST', `${database}/collections/${collection}/get`, {
          limit: 1000,
          offset,
          include: ['embeddings'],
        })) as { ids: string[]; embeddings: number[][] };
        for (const [index, id] of page.ids.entries()) all.set(id, page.embeddings[index] ?? []);
        if (page.ids.length === 0) return all;
      }
    },
    async nearest(collection, vector) {
      const found = (await call('POST', `${database}/collections/${collection}/query`, {
        query_embeddings: [vector],
        n_results: 1,
      })) as { ids: string[][] };
      return found.ids[0]?.[0] ?? '';
    },
  };
}

/** A connection of its own for each request: one that is kept would be dead after a restart. */
function send(
  method: string,
  url: string,
  body: object | undefined,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const request = httpRequest(url, { method, headers, agent: false }, (answer) => {
      readText(answer).then((text) => resolve({ status: answer.statusCode ?? 0, text }), reject);
    });
    request.on('error', reject);
    request.end(body ? JSON.stringify(body) : undefined);
  });
}

/** The same for the same number, spread out, and exact as a 32-bit float. */
export function vectorOf(n: number): number[] {
  return Array.from({ length: 8 }, (_, at) => Math.fround(Math.sin(n * 12.9898 + at * 78.233)));
}
