// A stack as compose would start it: ChromaDB, FalkorDB, PostgreSQL, an SQLite file, Neo4j where it is asked for, and an
// application that writes a numbered record to all of them in order, as fast as it can.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Dockerode from 'dockerode';
import { expect } from 'vitest';
import { image } from '../../testbed/index.ts';
import { pkbackup, type Ran } from '../cli/program.ts';
import {
  containerOf,
  makeContainer,
  makeVolume,
  removeContainer,
  removeVolume,
  stateOf,
  uniqueName,
} from '../docker/bed.ts';
import { healthCheck, lean, password } from '../stores/fixtures/neo4j-server.ts';

const engine = new Dockerode();
const liveDocker = { DOCKER_HOST: process.env.DOCKER_HOST || 'unix:///var/run/docker.sock' };

export interface Stack extends AsyncDisposable {
  readonly project: string;
  /** Where the SQLite file lies, and pkbackup runs. */
  readonly directory: string;
  /** The count of each store that says how many records it has, in the order in which the application writes them. */
  readonly records: readonly (readonly [store: string, count: string])[];
  run(...args: string[]): Promise<Ran>;
  /** Id of the application. */
  app(): string;
  /** As `docker compose down --volumes` and `up` would: everything is gone, and empty servers run. The application does not. */
  startAnew(): Promise<void>;
  /** Returns when it writes. */
  startApp(): Promise<void>;
}

interface Service {
  readonly image: string;
  readonly path: string;
  readonly env?: string[];
  readonly more?: Dockerode.ContainerCreateOptions;
}

const services: Readonly<Record<string, Service>> = {
  chromadb: { image: image.chromadb, path: '/data' },
  falkordb: { image: image.falkordb, path: '/var/lib/falkordb/data' },
  postgres: {
    image: image.postgres,
    path: '/var/lib/postgresql/data',
    env: ['POSTGRES_HOST_AUTH_METHOD=trust'],
  },
};

const neo4j: Service = {
  image: image.neo4j,
  path: '/data',
  env: [`NEO4J_AUTH=neo4j/${password}`, ...lean],
  more: { Healthcheck: healthCheck },
};

/** Each check is a command in the container, and so work for the Engine; people have one every ten seconds and more. */
const checkEvery = { Interval: 3e9 };

/** A busy machine starts five servers at once. */
const servesWithinMs = 300_000;

/** `init` has written its pkbackup.yaml, to which `settings` are added; the application writes. */
export async function startStack(
  settings: string,
  { withNeo4j = false }: { withNeo4j?: boolean } = {},
): Promise<Stack> {
  const project = uniqueName('stack');
  const directory = mkdtempSync(join(tmpdir(), 'pkbackup-stack-'));
  const events = join(directory, 'events');
  mkdirSync(events);
  const used = withNeo4j ? { ...services, neo4j } : services;
  const network = await engine.createNetwork({
    Name: project,
    Internal: true,
    Labels: { 'pkbackup.test': '1' },
  });
  const containers = new Map<string, string>();
  const start = async (service: string, options: Parameters<typeof makeContainer>[0] & object) => {
    const id = await startService({ project, service, directory }, options);
    containers.set(service, id);
  };
  const startServers = async () => {
    const starting = Object.entries(used).map(async ([service, { path, more, ...server }]) => {
      const labels = { 'com.docker.compose.project': project, 'com.docker.compose.volume': service };
      const volume = await makeVolume(`${project}_${service}`, labels);
      const seldom = { ...more, Healthcheck: { ...more?.Healthcheck, ...checkEvery } };
      await start(service, { ...server, volumes: { [volume]: path }, more: seldom });
    });
    await Promise.all(starting);
    await Promise.all([...containers.values()].map(untilHealthy));
  };
  const stack: Stack = {
    project,
    directory,
    records: [
      ['chromadb', 'records'],
      ['falkordb', 'nodes'],
      ['postgres', 'rows'],
      ...(withNeo4j ? [['neo4j', 'nodes'] as const] : []),
      ['events', 'rows'],
    ],
    run: (...args) => pkbackup(args, { cwd: directory, env: liveDocker }),
    app: () => containers.get('app') ?? '',
    async startAnew() {
      await Promise.all([...containers.values()].map(removeContainer));
      containers.clear();
      await Promise.all(Object.keys(used).map((service) => removeVolume(`${project}_${service}`)));
      rmSync(events, { recursive: true });
      mkdirSync(events);
      await startServers();
    },
    async startApp() {
      await start('app', {
        image: image.chromadb,
        volumes: { [join(import.meta.dirname, 'stack-writer.mjs')]: '/writer.mjs:ro', [events]: '/events' },
        entrypoint: ['/usr/local/lib/chroma/node'],
        command: ['/writer.mjs'],
        // The image has a node in it; what runs here is no server.
        labels: { 'pkbackup.enable': 'false' },
        env: withNeo4j ? [`NEO4J_PASSWORD=${password}`] : [],
      });
      await untilItWrites(stack.app());
    },
    async [Symbol.asyncDispose]() {
      for (const id of containers.values()) await removeContainer(id);
      await network.remove();
      rmSync(directory, { recursive: true, force: true });
    },
  };
  try {
    await startServers();
    await stack.startApp();
    if (withNeo4j) writeFileSync(join(directory, '.env'), `GRAPH_PASSWORD=${password}\n`);
    await init(stack, settings);
    return stack;
  } catch (error) {
    await stack[Symbol.asyncDispose]();
    throw error;
  }
}

/** Everything is found, and nothing else. */
async function init({ run, directory, records }: Stack, settings: string): Promise<void> {
  const { exitCode, stderr } = await run('init', '--yes');
  expect(exitCode, stderr).toBe(0);
  const path = join(directory, 'pkbackup.yaml');
  const written = readFileSync(path, 'utf8');
  expect([...written.matchAll(/^ {2}(\w+): \{/gm)].map(([, name]) => name).sort()).toEqual(
    records.map(([store]) => store).sort(),
  );
  writeFileSync(path, `${settings}\n${written}`);
}

async function untilHealthy(id: string): Promise<void> {
  for (const giveUpAt = Date.now() + servesWithinMs; Date.now() < giveUpAt; await sleep(200)) {
    const { State } = await containerOf(id).inspect();
    if (State.Health?.Status === 'healthy') return;
  }
  throw new Error(`container ${id} is ${(await stateOf(id)).status} and not healthy`);
}

async function untilItWrites(id: string): Promise<void> {
  const said = () => containerOf(id).logs({ stdout: true, stderr: true });
  for (const giveUpAt = Date.now() + servesWithinMs; Date.now() < giveUpAt; await sleep(100)) {
    if ((await said()).toString().includes('writing')) return;
  }
  throw new Error(`it does not write: ${await said()}`);
}

async function startService(
  { project, service, directory }: { project: string; service: string; directory: string },
  { labels, more, ...options }: Parameters<typeof makeContainer>[0] & object,
): Promise<string> {
  return makeContainer({
    ...options,
    name: `${project}-${service}`,
    labels: {
      'com.docker.compose.project': project,
      'com.docker.compose.service': service,
      'com.docker.compose.project.working_dir': directory,
      ...labels,
    },
    hostConfig: { NetworkMode: project },
    more: { ...more, NetworkingConfig: { EndpointsConfig: { [project]: { Aliases: [service] } } } },
  });
}
