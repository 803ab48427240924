// Restores of FalkorDB that fail, with a real server on a small disk.
import { beforeAll } from 'vitest';
import { Crc64 } from '../../src/stores/falkordb/crc64.ts';
import { image, requireTestbed } from '../../testbed/index.ts';
import { inVolume, makeContainer, uniqueName } from '../docker/bed.ts';
import { startCutSocket } from '../faults/cut-socket.ts';
import { makeSmallVolume } from '../faults/small-disk.ts';
import { reseal, withFile } from '../operations/sealed-backup.ts';
import { failingRestores, type Stage } from './failing-restores.ts';
import { untilHealthy } from './fixtures/containers.ts';
import { dataDirectory, falkordbAt, port } from './fixtures/falkordb-server.ts';

beforeAll(() => requireTestbed('falkordb'));

const diskBytes = 64 * 1024 * 1024;
const presentBytes = 6_000_000;

failingRestores('a FalkorDB', async () => {
  const disk = await makeSmallVolume(diskBytes);
  const name = uniqueName('falkordb');
  const id = await makeContainer({
    image: image.falkordb,
    name,
    volumes: { [disk.name]: dataDirectory },
    // What the tests save is small; a save of its own would only take time.
    env: ['REDIS_ARGS=--save ""'],
    hostConfig: { PortBindings: { [port]: [{ HostIp: '127.0.0.1', HostPort: '' }] } },
    more: {
      Healthcheck: {
        Test: ['CMD', 'sh', '-c', 'redis-cli ping | grep -q PONG && ! redis-cli get sick | grep -q yes'],
        Interval: 3e8,
        Retries: 3,
      },
    },
  });
  await untilHealthy(id);
  const server = falkordbAt({ id, name, volume: disk.name });
  const changeDump =
    (change: (dump: Buffer) => Buffer) =>
    ({ backup }: Stage) =>
      reseal(backup, (tar) => withFile(tar, 'dump.rdb', change));
  return {
    store: { name: 'graph', kind: 'falkordb', target: { container: name }, healthSeconds: 5 },
    containers: [id],
    async put(content) {
      await server.ask('FLUSHALL');
      await server.query('knowledge', `UNWIND range(1, 50) AS n CREATE (:${content} {n: n})`);
      if (content === 'present') await server.ask('SET', 'large', randomText(presentBytes));
    },
    async look() {
      // Writers must not wait any more either.
      await server.ask('INCR', 'written');
      await server.ask('DEL', 'written');
      const nodes = await server.query('knowledge', 'MATCH (n) RETURN labels(n), count(n), sum(n.n)');
      const size = await server.ask('STRLEN', 'large');
      return JSON.stringify([(nodes as unknown[])[1], size, await server.ask('GRAPH.LIST')]);
    },
    names: async () => (await inVolume(disk.name, 'ls -A /v')).split('\n'),
    faults: {
      damaged: [
        {
          arrange: changeDump((dump) => flipped(dump, dump.length >> 1)),
          exitCode: 4,
          message: /is not a good backup: .*(checksum|dump)/,
          state: 'proved',
        },
      ],
      dead: [
        {
          // The checksum of the dump itself is right, too; but no server has a module of that name.
          arrange: changeDump((dump) => sealed(flipped(dump.subarray(0, -8), dump.indexOf(graphModule)))),
          exitCode: 5,
          message: /container ".*" ended with exit code \d+; .* serves again$/,
          state: 'swapped',
        },
      ],
      sick: [
        {
          arrange: ({ backup }) => {
            const { counts } = backup.metadata;
            return reseal(backup, (tar) => withFile(tar, 'dump.rdb', withSickKey), {
              counts: { ...counts, other_keys: (counts.other_keys ?? 0) + 1 },
            });
          },
          exitCode: 5,
          message: /container ".*" is not healthy after \d+ s \(.*\); .* serves again$/,
          state: 'swapped',
        },
      ],
      full: [
        {
          what: 'seen before',
          arrange: async () => disk.fill(presentBytes),
          settle: () => disk.empty(),
          exitCode: 5,
          message:
            /about \d+\.\d MB are needed beside the present data, 6\.0 MB are free; nothing was touched$/,
          state: 'proved',
        },
        {
          what: 'what is staged does not fit',
          arrange: async () => ({ confirm: async () => disk.fill(0) }),
          settle: () => disk.empty(),
          exitCode: 5,
          message: /no space is left/,
          state: 'staged',
        },
        {
          what: 'the server cannot save what it has',
          arrange: async () => ({ confirm: async () => disk.fill(1024 * 1024) }),
          settle: () => disk.empty(),
          exitCode: 5,
          message: /could not save its data/,
          state: 'staged',
        },
      ],
      cut: [
        {
          // Of redis-cli, while the server is told to save: its writers must not wait for ever.
          async arrange({ run }) {
            const socket = await startCutSocket();
            const confirm = async () => socket.arm({ request: /^POST .*\/exec\/\w+\/start/ });
            return { run: { ...run, docker: socket.docker }, confirm };
          },
          exitCode: 5,
          message: /Docker broke the connection off/,
          state: 'staged',
        },
      ],
    },
  };
});

/** The id of the type of a graph. */
const graphModule = Buffer.from([0x82, 0xb6, 0xa9, 0x85, 0xd6, 0xad, 0x68, 0x12]);

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 0x18;
  return copy;
}

function sealed(body: Buffer): Buffer {
  const crc = new Crc64();
  crc.update(body);
  return Buffer.concat([body, crc.digest()]);
}

/** A string, before the end of the dump. */
function withSickKey(dump: Buffer): Buffer {
  const end = dump.length - 9;
  const key = Buffer.from('\x00\x04sick\x03yes', 'latin1');
  return sealed(Buffer.concat([dump.subarray(0, end), key, dump.subarray(end, end + 1)]));
}

function randomText(length: number): string {
  let text = '';
  while (text.length < length) text += Math.random().toString(36).slice(2);
  return text.slice(0, length);
}
