import { setTimeout as sleep } from 'node:timers/promises';
import { image } from '../../../testbed/index.ts';
import { inVolume, makeVolume, uniqueName } from '../../docker/bed.ts';
import { type Chroma, startChroma } from '../chroma-client.ts';
import type { Seed, Writer } from '../conformance.ts';
import { missing, otherSegment, tornPage } from '../planted-damage.ts';

const seed = (server: 'chromadb' | 'chromadb06', variant: string, path: string): Seed => ({
  kind: 'chromadb',
  variant,
  images: [server],
  whenStopped: 'saved',
  planted: () => [
    {
      what: 'the index of another collection',
      edit: otherSegment('others', 'documents'),
      foundBy: 'content',
      finding: /collection "others": 100 records are not in its index: it is of another collection or time/,
    },
    {
      what: 'the index of another collection, whose records have the same ids',
      edit: otherSegment('twins', 'documents'),
      foundBy: 'drill',
      finding: /collection "twins": a vector is another one than at the backup/,
    },
    {
      what: 'an index that lacks its list of records',
      edit: missing('index_metadata.pickle'),
      foundBy: 'content',
      finding: /index_metadata\.pickle is missing or empty/,
    },
    {
      what: 'a torn page',
      edit: tornPage('chroma.sqlite3'),
      foundBy: 'content',
      finding: /malformed|Tree|page/,
    },
  ],
  async start() {
    const volume = await makeVolume();
    const name = uniqueName('chroma');
    const chroma = await startChroma(volume, { image: image[server], path, name });
    return {
      target: { container: name },
      containers: [chroma.id],
      async fill(scale) {
        const documents = await chroma.createCollection('documents');
        // Over 1000 records, so that vectors are in the index files and no longer in the database.
        for (let from = 0; from < 1500 * scale; from += 500) await chroma.add(documents, from, 500);
        await chroma.add(await chroma.createCollection('notes'), 1, 5);
        const others = await chroma.createCollection('others', 50);
        await chroma.add(others, 0, 100, { prefix: 'other' });
        await chroma.add(await chroma.createCollection('twins', 50), 0, 100, { shift: 7777 });
      },
      startWriter: () => startWriter(chroma),
      ...reader(chroma),
      async destroy() {
        for (const collection of await collectionsOf(chroma)) await remove(chroma, collection.name);
      },
      wrong: () => [
        {
          what: 'another data directory',
          target: { container: name, data_path: '/var/lib/vectors' },
          code: 'not_found',
          message: /no chroma\.sqlite3 in container .* \(looked in \/var\/lib\/vectors\)/,
        },
        {
          what: 'a container that is not there',
          target: { container: `${name}x` },
          code: 'not_found',
          message: /is not there/,
        },
      ],
      async beside() {
        const to = await makeVolume();
        return { to, open: async () => reader(await startChroma(to, { image: image[server], path })) };
      },
      names: async () => (await inVolume(volume, 'ls -A /v')).split('\n'),
    };
  },
});

export const chromadb1 = seed('chromadb', '1.x', '/data');
export const chromadb06 = seed('chromadb06', '0.6.3', '/chroma/chroma');

const base = '/api/v2/tenants/default_tenant/databases/default_database/collections';
const itemsName = 'written';

async function collectionsOf(chroma: Chroma): Promise<{ id: string; name: string }[]> {
  return (await chroma.call('GET', base)) as { id: string; name: string }[];
}

const remove = (chroma: Chroma, name: string) => chroma.call('DELETE', `${base}/${name}`);

const reader = (chroma: Chroma) => ({
  async fingerprint() {
    const fixed = (await collectionsOf(chroma)).filter(({ name }) => name !== itemsName);
    const lines: string[] = [];
    for (const { id, name } of fixed) {
      for (const [record, vector] of await chroma.everything(id)) lines.push(`${name} ${record} ${vector}`);
    }
    return lines.toSorted().join('\n');
  },
  async items() {
    const found = (await collectionsOf(chroma)).find(({ name }) => name === itemsName);
    if (!found) return [];
    return [...(await chroma.everything(found.id)).keys()].map((id) => Number(id.slice(1)));
  },
});

/** A record that is there already is left as it is, so one whose answer was lost can be sent again. */
async function startWriter(chroma: Chroma): Promise<Writer> {
  if ((await collectionsOf(chroma)).some(({ name }) => name === itemsName)) await remove(chroma, itemsName);
  const collection = await chroma.createCollection(itemsName);
  let acknowledged = 0;
  let isStopped = false;
  const writing = (async () => {
    while (!isStopped) {
      try {
        await chroma.add(collection, acknowledged + 1, 1);
        acknowledged += 1;
        await sleep(5);
      } catch {
        // Stopped for a backup.
        await sleep(50);
      }
    }
  })();
  return {
    acknowledged: () => acknowledged,
    async stop() {
      isStopped = true;
      await writing;
    },
  };
}
