// A copied repository and a compose file on an Engine that has never seen any of it: the set is restored under another
// project name, and compose takes the volumes for its own, without a word.
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import Dockerode from 'dockerode';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { image, requireTestbed } from '../../testbed/index.ts';
import { cleanEnvironment, makeDirectory, pkbackup } from '../cli/program.ts';
import { unpackFromSuite } from '../debian-packages.ts';
import { uniqueName } from '../docker/bed.ts';
import { type OwnEngine, startOwnEngine } from '../faults/own-engine.ts';
import { clientOf } from '../stores/chroma-client.ts';

const first = uniqueName('first');
const named = uniqueName('named');
const liveDocker = process.env.DOCKER_HOST || 'unix:///var/run/docker.sock';

/** `files` has a name of its own, `graph` a server that ignores a dump without a log. */
const composeFile = `
services:
  vectors:
    image: ${image.chromadb}
    volumes: [vectors:/data]
  graph:
    image: ${image.falkordb}
    environment: { REDIS_ARGS: --appendonly yes }
    volumes: [graph:/var/lib/falkordb/data]
  files:
    image: ${image.chromadb}
    entrypoint: [dumb-init, --]
    command: [sleep, '3600']
    labels: { pkbackup.enable: 'false' }
    healthcheck: { test: [CMD, 'true'], interval: 1s }
    volumes: [files:/srv, uploads:/uploads]
volumes:
  vectors:
  graph: { labels: { tier: gold } }
  files: { name: ${named}, labels: { pkbackup.enable: 'true' } }
  uploads: { labels: { pkbackup.enable: 'true' } }
`;
const published = `services: { vectors: { ports: ['127.0.0.1::8000'] } }\n`;
/** An Engine of one's own has no bridge. */
const alone = `services: { ${['vectors', 'graph', 'files'].map((name) => `${name}: { network_mode: none }`).join(', ')} }\n`;

const home = makeDirectory({ 'compose.yaml': composeFile, 'more.yaml': published });
const away = makeDirectory({ 'compose.yaml': composeFile, 'more.yaml': alone });
let compose: string;
let engine: OwnEngine;
let setId: string;

async function runCompose(cwd: string, host: string, project: string, ...args: string[]) {
  const files = ['-f', 'compose.yaml', '-f', 'more.yaml'];
  const env = { ...cleanEnvironment(), DOCKER_HOST: host };
  const ran = await execa(compose, ['-p', project, ...files, ...args], {
    cwd,
    env,
    extendEnv: false,
    reject: false,
  });
  expect(ran.exitCode, ran.stderr).toBe(0);
  return `${ran.stdout}\n${ran.stderr}`;
}

async function inService(client: Dockerode, project: string, service: string, ...command: string[]) {
  const exec = await client
    .getContainer(`${project}-${service}-1`)
    .exec({ Cmd: command, AttachStdout: true, Tty: true });
  return (await text(await exec.start({ Tty: true }))).replaceAll('\r', '').trim();
}

const graphQuery = ['redis-cli', 'GRAPH.QUERY', 'knowledge'];

/** Without a port to the outside. */
const heardInside = (path: string) => [
  'bash',
  '-c',
  `exec 3<>/dev/tcp/127.0.0.1/8000; printf 'GET ${path} HTTP/1.0\r\n\r\n' >&3; cat <&3`,
];

beforeAll(async () => {
  await requireTestbed('chromadb', 'falkordb');
  compose = join(
    await unpackFromSuite('trixie', 'docker-compose'),
    'usr/libexec/docker/cli-plugins/docker-compose',
  );
  engine = await startOwnEngine(join(makeDirectory(), 'engine'), image.chromadb, image.falkordb);
  const live = new Dockerode();
  await runCompose(home, liveDocker, first, 'up', '--detach', '--wait');
  const vectors = clientOf((await live.getContainer(`${first}-vectors-1`).inspect()).Id);
  await vectors.add(await vectors.createCollection('saved'), 0, 50);
  await inService(live, first, 'graph', ...graphQuery, 'UNWIND range(1, 70) AS n CREATE (:Saved {n: n})');
  await inService(
    live,
    first,
    'files',
    'bash',
    '-c',
    'echo one > /srv/file; mkdir /uploads/a; echo two > /uploads/a/b; chown -R 5:6 /uploads',
  );
  const saved = await pkbackup(['backup', '--project', first, '--json'], {
    cwd: home,
    env: { DOCKER_HOST: liveDocker },
  });
  expect(saved.exitCode, saved.stderr).toBe(0);
  setId = JSON.parse(saved.stdout).set_id;
  cpSync(join(home, 'backups'), join(away, 'backups'), { recursive: true });
});
afterAll(async () => {
  await engine?.remove();
  if (compose) await runCompose(home, liveDocker, first, 'down', '--volumes', '--timeout', '1');
});

const restore = (...args: string[]) =>
  pkbackup(['restore', setId, '--yes', '--json', ...args], { cwd: away, env: { DOCKER_HOST: engine.host } });

async function volumesOn(client: Dockerode, project: string) {
  const { Volumes } = await client.listVolumes({
    filters: { label: [`com.docker.compose.project=${project}`] },
  });
  return Object.fromEntries(
    Volumes.map(({ Name, Driver, Labels, Options }) => [Name, { Driver, Labels, Options }]),
  );
}

test('without another name it is made again as it was, and never over what is there', async () => {
  const restored = await restore('uploads', 'graph');
  expect(restored.exitCode, restored.stderr).toBe(0);
  const before = await volumesOn(new Dockerode(), first);
  const made = await volumesOn(engine.client, first);
  expect(Object.keys(made).sort()).toEqual([`${first}_graph`, `${first}_uploads`]);
  for (const [name, volume] of Object.entries(made)) expect(volume).toEqual(before[name]);
  const again = await restore('graph');
  expect(again.exitCode).toBe(3);
  expect(again.stdout + again.stderr).toMatch(/neither configured nor found/);
});

test('a set restored under another project name is what compose expects of its volumes', async () => {
  const restored = await restore('--to', 'project:second');
  expect(restored.exitCode, restored.stderr).toBe(0);
  const made = await volumesOn(engine.client, 'second');
  const before = await volumesOn(new Dockerode(), first);
  expect(Object.keys(made).sort()).toEqual(
    [named, 'second_graph', 'second_uploads', 'second_vectors'].sort(),
  );
  for (const [name, volume] of Object.entries(before)) {
    const labels = { ...volume.Labels, 'com.docker.compose.project': 'second' };
    expect(made[name.replace(`${first}_`, 'second_')]).toEqual({ ...volume, Labels: labels });
  }
  const said = await runCompose(away, engine.host, 'second', 'up', '--detach', '--wait');
  expect(said).not.toMatch(/volume|warn|recreate/i);
  expect(await volumesOn(engine.client, 'second')).toEqual(made);
});

test('the servers that compose starts serve what was saved', async () => {
  const ask = (service: string, ...command: string[]) =>
    inService(engine.client, 'second', service, ...command);
  expect(await ask('files', 'bash', '-c', 'cat /srv/file /uploads/a/b; stat -c %u:%g /uploads/a/b')).toBe(
    'one\ntwo\n5:6',
  );
  expect(await ask('graph', ...graphQuery, 'MATCH (n:Saved) RETURN count(n), sum(n.n)')).toMatch(
    /70[\s\S]*2485/,
  );
  const database = '/api/v2/tenants/default_tenant/databases/default_database';
  const [, id] =
    /"id":"([0-9a-f-]{36})"/.exec(await ask('vectors', ...heardInside(`${database}/collections`))) ?? [];
  expect(await ask('vectors', ...heardInside(`${database}/collections/${id}/count`))).toMatch(/\n50$/);
});

test('what is there is never restored over under the name of a project', async () => {
  const again = await restore('--to', 'project:second');
  expect(again.exitCode).toBe(5);
  expect(again.stdout + again.stderr).toMatch(/is not empty; nothing was restored/);
});
