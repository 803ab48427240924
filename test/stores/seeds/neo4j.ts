import { inVolume, makeVolume } from '../../docker/bed.ts';
import type { Seed } from '../conformance.ts';
import {
  fill,
  fingerprint,
  items,
  loseAll,
  type Neo4j,
  password,
  startNeo4j,
  startWriter,
} from '../fixtures/neo4j-server.ts';
import { missing, otherText, type Planted } from '../planted-damage.ts';

const planted: Record<'volume' | 'dump', readonly Planted[]> = {
  volume: [
    {
      what: 'a store file that is missing',
      edit: missing('databases/neo4j/neostore.propertystore.db'),
      foundBy: 'content',
      finding: /^"databases\/neo4j\/neostore\.propertystore\.db" is missing$/,
    },
    {
      what: 'another name of a label, in a sound database',
      edit: otherText('databases/neo4j/neostore.labeltokenstore.db.names', 'Document', 'Dokument'),
      foundBy: 'drill',
      finding: /expected \d+ of \(Document\)-\[CITES\]->\(Source\) among its first relationships, found 0/,
    },
  ],
  dump: [
    {
      what: 'the dump of a database that is missing',
      edit: missing('neo4j.dump'),
      foundBy: 'content',
      finding: /^"neo4j\.dump" is missing$/,
    },
  ],
};

const seed = (method: 'volume' | 'dump'): Seed => ({
  kind: 'neo4j',
  ...(method === 'volume' ? {} : { variant: 'by dump', isSlow: true }),
  images: ['neo4j'],
  whenStopped: 'saved',
  ...(method === 'volume' ? { alsoHeld: ['pause'] as const } : {}),
  planted: () => planted[method],
  async start() {
    const server = await startNeo4j();
    const target = { container: server.name, password_env: 'GRAPH_PASSWORD', method };
    return {
      target,
      environment: { GRAPH_PASSWORD: password },
      containers: [server.id],
      fill: (scale) => fill(server, scale),
      startWriter: () => startWriter(server),
      ...reader(server),
      destroy: () => loseAll(server),
      wrong: () => [
        {
          what: 'a wrong password',
          target,
          environment: { GRAPH_PASSWORD: 'wrong-password' },
          code: 'config',
          message: /refuses the password of user "neo4j" \(from password_env\)/,
          secret: 'wrong-password',
        },
        {
          what: 'a password that is not set',
          target: { ...target, password_env: 'NOT_SET' },
          code: 'config',
          message: /"NOT_SET" is not set/,
        },
        {
          what: 'a data directory that is not on a mount',
          target: { ...target, data_path: '/var/lib/graph' },
          code: 'backup_failed',
          message: /data directory "\/var\/lib\/graph" of container ".*" is not on a mount/,
        },
        {
          what: 'another data directory',
          target: { ...target, data_path: '/logs' },
          code: 'config',
          message: /keeps its data in "\/data", expected "\/logs"/,
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
      /** A new volume, and later a new server on it, with the passwords of the backup. */
      async beside() {
        const volume = await makeVolume();
        return { to: volume, open: async () => reader(await startNeo4j({ volume })) };
      },
      names: async () => (await inVolume(server.volume, 'ls -A /v')).split('\n'),
    };
  },
});

export const neo4j = seed('volume');
export const neo4jByDump = seed('dump');

const reader = (server: Neo4j) => ({
  fingerprint: () => fingerprint(server),
  items: () => items(server),
});
