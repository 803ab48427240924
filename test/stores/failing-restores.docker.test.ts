// Restores into volumes that fail, with real servers: a volume that nobody knows the meaning of, and ChromaDB.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { beforeAll } from 'vitest';
import { requireTestbed } from '../../testbed/index.ts';
import { makeTempDir } from '../archive/gather.ts';
import { inVolume, listingOf, makeContainer, uniqueName } from '../docker/bed.ts';
import { makeSmallVolume } from '../faults/small-disk.ts';
import { reseal, withFile } from '../operations/sealed-backup.ts';
import { clientOf, untilHealthy } from './chroma-client.ts';
import { failingRestores, type Stage } from './failing-restores.ts';
import { adding, fullDisk, volumeFaults, whileStaging } from './volume-faults.ts';

beforeAll(() => requireTestbed('chromadb'));

const diskBytes = 64 * 1024 * 1024;

failingRestores('a volume', async () => {
  const disk = await makeSmallVolume(diskBytes);
  const id = await makeContainer({
    name: uniqueName('user'),
    entrypoint: ['/bin/bash', '-c'],
    command: ['[ -e /data/poison ] && exit 3; trap exit TERM; while :; do sleep 0.1; done'],
    volumes: { [disk.name]: '/data' },
    more: { Healthcheck: { Test: ['CMD', 'test', '!', '-e', '/data/sick'], Interval: 3e8, Retries: 1 } },
  });
  return {
    store: {
      name: 'files',
      kind: 'volume',
      target: { volume: disk.name },
      quiesce: 'stop',
      healthSeconds: 4,
    },
    containers: [id],
    put: async (content) => {
      await inVolume(
        disk.name,
        `find /v -mindepth 1 -delete; head -c 3000000 /dev/urandom > /v/${content}; mkdir -p /v/sub; ln -s nowhere /v/sub/link`,
      );
      await untilHealthy(id);
    },
    look: () => listingOf(disk.name),
    names: async () => (await inVolume(disk.name, 'ls -A /v')).split('\n'),
    faults: volumeFaults(() => disk),
  };
});

failingRestores('a ChromaDB', async () => {
  const disk = await makeSmallVolume(diskBytes);
  const name = uniqueName('chroma');
  const id = await makeContainer({
    image: 'pkbackup-test/chromadb:1',
    name,
    volumes: { [disk.name]: '/data' },
    hostConfig: { PortBindings: { '8000/tcp': [{ HostIp: '127.0.0.1', HostPort: '0' }] } },
    more: {
      Healthcheck: {
        Test: ['CMD', 'bash', '-c', '[ ! -e /data/sick ] && exec 3<>/dev/tcp/127.0.0.1/8000'],
        Interval: 1e9,
        StartPeriod: 30e9,
        Retries: 3,
      },
    },
  });
  await untilHealthy(id);
  const chroma = clientOf(id);
  const collections = new Map<string, string>();
  const changeDatabase =
    (sql: string) =>
    ({ backup }: Stage) =>
      reseal(backup, (tar) => withFile(tar, './chroma.sqlite3', (bytes) => inDatabase(bytes, sql)));
  return {
    store: { name: 'vectors', kind: 'chromadb', target: { container: name }, healthSeconds: 12 },
    containers: [id],
    async put(content) {
      await untilHealthy(id);
      const collection = await chroma.createCollection(content, 50);
      collections.set(content, collection);
      await chroma.add(collection, 0, 300);
    },
    async look() {
      const found: string[] = [];
      for (const [what, collection] of collections) {
        for (const [record, vector] of await chroma.everything(collection))
          found.push(`${what} ${record} ${vector}`);
      }
      return found.join('\n');
    },
    names: async () => (await inVolume(disk.name, 'ls -A /v')).split('\n'),
    faults: {
      damaged: [
        {
          arrange: changeDatabase('DELETE FROM embeddings WHERE rowid % 2'),
          exitCode: 4,
          message: /is not a good backup: .*(records|segment)/,
          state: 'proved',
        },
        {
          what: 'what only the server finds',
          // The names of the vectors: counts and lengths are right.
          arrange: ({ backup }) =>
            reseal(backup, (tar) => {
              const [path = ''] =
                /\.\/[0-9a-f-]{36}\/index_metadata\.pickle/.exec(tar.toString('latin1')) ?? [];
              return withFile(tar, path, (bytes) => Buffer.alloc(bytes.length, 7));
            }),
          exitCode: 5,
          message: /collection "saved".* serves again$/,
          state: 'swapped',
        },
      ],
      dead: [
        {
          arrange: changeDatabase(`UPDATE migrations SET hash = 'none', filename = '00001-none.sqlite.sql'`),
          exitCode: 5,
          message: /container ".*" (ended with exit code \d+|is not healthy).* serves again$/,
          state: 'swapped',
        },
      ],
      sick: [
        {
          arrange: adding('./sick'),
          exitCode: 5,
          message: /container ".*" is not healthy after \d+ s .* serves again$/,
          state: 'swapped',
        },
      ],
      full: fullDisk(() => disk),
      cut: [whileStaging],
    },
  };
});

function inDatabase(bytes: Buffer, sql: string): Buffer {
  const path = join(makeTempDir(), 'chroma.sqlite3');
  writeFileSync(path, bytes);
  const database = new DatabaseSync(path, { enableForeignKeyConstraints: false });
  database.exec(sql);
  database.close();
  return readFileSync(path);
}
