import { Crc64 } from '../../../src/stores/falkordb/crc64.ts';
import { inVolume, makeVolume } from '../../docker/bed.ts';
import type { Seed } from '../conformance.ts';
import {
  type Falkordb,
  fill,
  fingerprint,
  items,
  password,
  startFalkordb,
  startWriter,
} from '../fixtures/falkordb-server.ts';
import { cutWithFooter } from '../planted-damage.ts';

export const falkordb: Seed = {
  kind: 'falkordb',
  images: ['falkordb'],
  whenStopped: 'refused',
  alsoHeld: ['pause', 'stop'],
  planted: () => [
    {
      what: 'a dump that is cut, its footer kept',
      edit: cutWithFooter('dump.rdb', 9),
      foundBy: 'content',
      finding: /redis-check-rdb: Internal error in RDB reading/,
    },
    {
      what: 'other texts in the nodes, in a dump with a right checksum',
      edit: (files) => void files.set('dump.rdb', withOtherTexts(files.get('dump.rdb') ?? Buffer.alloc(0))),
      foundBy: 'drill',
      finding: /^graph "knowledge": its first nodes are not what they were$/,
    },
  ],
  async start() {
    const server = await startFalkordb({ hasPassword: true });
    const target = { container: server.name, password_env: 'GRAPH_PASSWORD' };
    return {
      target,
      environment: { GRAPH_PASSWORD: password },
      containers: [server.id],
      fill: (scale) => fill(server, scale),
      startWriter: () => startWriter(server),
      ...reader(server),
      destroy: async () => void (await server.ask('FLUSHALL')),
      wrong: () => [
        {
          what: 'a wrong password',
          target,
          environment: { GRAPH_PASSWORD: 'wrong-password' },
          code: 'config',
          message: /refuses the password/,
          secret: 'wrong-password',
        },
        {
          what: 'a password that is not set',
          target: { ...target, password_env: 'NOT_SET' },
          code: 'config',
          message: /"NOT_SET" is not set/,
        },
        {
          what: 'another data directory',
          target: { ...target, data_path: '/data' },
          code: 'config',
          message: /keeps its data in "\/var\/lib\/falkordb\/data", expected "\/data"/,
        },
        {
          what: 'another volume',
          target: { ...target, volume: 'graph-data' },
          code: 'config',
          message: /expected volume "graph-data"/,
        },
        {
          what: 'a container that is not there',
          target: { ...target, container: `${server.name}x` },
          code: 'not_found',
          message: /is not there/,
        },
      ],
      /** A new volume, and later a new server on it. */
      async beside() {
        const volume = await makeVolume();
        return { to: volume, open: async () => reader(await startFalkordb({ volume })) };
      },
      names: async () => (await inVolume(server.volume, 'ls -A /v')).split('\n'),
    };
  },
};

const reader = (server: Falkordb) => ({
  fingerprint: () => fingerprint(server),
  items: () => items(server),
});

function withOtherTexts(dump: Buffer): Buffer {
  const changed = Buffer.from(dump);
  // Strings are compressed: what comes later refers to the first one, the name of the property.
  const at = changed.indexOf('title\0');
  if (at < 0) throw new Error('the text is not in the dump');
  changed.write('other', at);
  const crc = new Crc64();
  crc.update(changed.subarray(0, -8));
  crc.digest().copy(changed, changed.length - 8);
  return changed;
}
