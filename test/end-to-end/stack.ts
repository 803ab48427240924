// A stack as compose would start it: ChromaDB, FalkorDB, PostgreSQL, an SQLite file, and an application that writes a numbered
// record to all of them in order, as fast as it can.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Dockerode from 'dockerode';
import { image } from '../../testbed/index.ts';
import {
  containerOf,
  makeContainer,
  makeVolume,
  removeContainer,
  removeVolume,
  uniqueName,
} from '../docker/bed.ts';
import { untilHealthy } from '../stores/chroma-client.ts';

const engine = new Dockerode();

export interface Stack extends AsyncDisposable {
  readonly project: string;
  /** Where the SQLite file lies, and pkbackup runs. */
  readonly directory: string;
  /** Ids, by service. */
  readonly containers: ReadonlyMap<string, string>;
  /** Of the servers. */
  readonly volumes: readonly string[];
  /** As `docker compose down --volumes` and `up` would: everything is gone, and empty servers run. The application does not. */
  startAnew(): Promise<void>;
}

const services: Readonly<Record<string, { image: string; path: string; env?: string[] }>> = {
  chromadb: { image: image.chromadb, path: '/data' },
  falkordb: { image: image.falkordb, path: '/var/lib/falkordb/data' },
  postgres: {
    image: image.postgres,
    path: '/var/lib/postgresql/data',
    env: ['POSTGRES_HOST_AUTH_METHOD=trust'],
  },
};

/** `more` goes to the top of pkbackup.yaml. */
export async function startStack(more: string): Promise<Stack> {
  const project = uniqueName('stack');
  const directory = mkdtempSync(join(tmpdir(), 'pkbackup-stack-'));
  mkdirSync(join(directory, 'events'));
  const network = await engine.createNetwork({
    Name: project,
    Internal: true,
    Labels: { 'pkbackup.test': '1' },
  });
  const containers = new Map<string, string>();
  await startServers(project, containers);
  const app = {
    image: image.chromadb,
    volumes: {
      [join(import.meta.dirname, 'stack-writer.mjs')]: '/writer.mjs:ro',
      [join(directory, 'events')]: '/events',
    },
    entrypoint: ['/usr/local/lib/chroma/node'],
    command: ['/writer.mjs'],
  };
  containers.set('app', await startService(project, 'app', app));
  const stores = [
    `  vectors: { kind: chromadb, container: ${project}-chromadb }`,
    `  graph: { kind: falkordb, container: ${project}-falkordb }`,
    `  rows: { kind: postgres, container: ${project}-postgres, user: postgres }`,
    '  events: { kind: sqlite, path: ./events/events.db }',
  ];
  writeFileSync(join(directory, 'pkbackup.yaml'), `${more}\nstores:\n${stores.join('\n')}\n`);
  return {
    project,
    directory,
    containers,
    volumes: Object.keys(services).map((service) => volumeOf(project, service)),
    async startAnew() {
      for (const id of containers.values()) await removeContainer(id);
      containers.clear();
      for (const service of Object.keys(services)) await removeVolume(volumeOf(project, service));
      rmSync(join(directory, 'events'), { recursive: true });
      mkdirSync(join(directory, 'events'));
      await startServers(project, containers);
    },
    async [Symbol.asyncDispose]() {
      for (const id of containers.values()) await removeContainer(id);
      await network.remove();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Until the application has written to every store. */
export async function untilItWrites({ containers }: Stack): Promise<void> {
  const app = containerOf(containers.get('app') ?? '');
  for (let attempt = 0; attempt < 300; attempt += 1) {
    const said = await app.logs({ stdout: true, stderr: true });
    if (said.toString().includes('writing')) return;
    await sleep(100);
  }
  throw new Error(`it does not write: ${await app.logs({ stdout: true, stderr: true })}`);
}

const volumeOf = (project: string, service: string) => `${project}_${service}`;

async function startServers(project: string, containers: Map<string, string>): Promise<void> {
  for (const [service, { path, env, ...server }] of Object.entries(services)) {
    const labels = { 'com.docker.compose.project': project, 'com.docker.compose.volume': service };
    const volume = await makeVolume(volumeOf(project, service), labels);
    const options = { ...server, ...(env ? { env } : {}), volumes: { [volume]: path } };
    containers.set(service, await startService(project, service, options));
  }
  await Promise.all([...containers.values()].map(untilHealthy));
}

async function startService(
  project: string,
  service: string,
  options: Parameters<typeof makeContainer>[0] & object,
): Promise<string> {
  return makeContainer({
    ...options,
    name: `${project}-${service}`,
    labels: { 'com.docker.compose.project': project, 'com.docker.compose.service': service },
    hostConfig: { NetworkMode: project },
    more: { NetworkingConfig: { EndpointsConfig: { [project]: { Aliases: [service] } } } },
  });
}
