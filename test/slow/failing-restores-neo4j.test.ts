// Restores of Neo4j that fail, with a real server on a small disk. Slow, because each of them starts it two times.
import { beforeAll } from 'vitest';
import { image, requireTestbed } from '../../testbed/index.ts';
import { inVolume, makeContainer, uniqueName } from '../docker/bed.ts';
import { makeSmallVolume } from '../faults/small-disk.ts';
import { failingRestores } from '../stores/failing-restores.ts';
import {
  fingerprint,
  httpPort,
  lean,
  neo4jAt,
  password,
  untilOnline,
} from '../stores/fixtures/neo4j-server.ts';
import { volumeFaults } from '../stores/volume-faults.ts';

beforeAll(() => requireTestbed('neo4j'));

const diskBytes = 256 * 1024 * 1024;

failingRestores('a Neo4j', async () => {
  const disk = await makeSmallVolume(diskBytes);
  const name = uniqueName('neo4j');
  const id = await makeContainer({
    image: image.neo4j,
    name,
    volumes: { [disk.name]: '/data' },
    env: [`NEO4J_AUTH=neo4j/${password}`, ...lean],
    entrypoint: ['/bin/bash', '-c'],
    command: ['[ -e /data/poison ] && exit 3; exec tini -g -- /startup/docker-entrypoint.sh neo4j'],
    hostConfig: { PortBindings: { [httpPort]: [{ HostIp: '127.0.0.1', HostPort: '' }] } },
    more: {
      Healthcheck: {
        Test: ['CMD-SHELL', '[ ! -e /data/sick ] && wget -q -O /dev/null http://localhost:7474'],
        Interval: 1e9,
        StartPeriod: 60e9,
        Retries: 5,
      },
    },
  });
  const server = neo4jAt({ id, name, volume: disk.name }, password);
  await untilOnline(server);
  return {
    store: {
      name: 'graph',
      kind: 'neo4j',
      target: { container: name, password_env: 'GRAPH_PASSWORD' },
      healthSeconds: 90,
    },
    environment: { GRAPH_PASSWORD: password },
    containers: [id],
    async put(content) {
      await untilOnline(server);
      await server.ask('MATCH (n) DETACH DELETE n');
      await server.ask(
        `UNWIND range(1, 200) AS n CREATE (:Document {n: n, title: $content})-[:CITES {weight: n}]->(:Source {n: n})`,
        { content },
      );
    },
    look: () => fingerprint(server),
    names: async () => (await inVolume(disk.name, 'ls -A /v')).split('\n'),
    faults: volumeFaults(() => disk),
  };
});
