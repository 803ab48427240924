// Containers and volumes for tests, made with dockerode itself and not with the code under test; all carry the label
// `pkbackup.test=1`. What a test makes is removed after it, what was made before any of them at the end of the file: every
// server that is left running asks after its health each second, and fifty of them are all that a small machine can do.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import Dockerode from 'dockerode';
import { afterAll, beforeEach } from 'vitest';
import { connectDocker } from '../../src/docker/index.ts';
import type { Event } from '../../src/events.ts';
import type { StoreContext } from '../../src/stores/store.ts';

export const chromaImage = 'pkbackup-test/chromadb:1';
const labels = { 'pkbackup.test': '1' };
const engine = new Dockerode();

interface Made {
  /** What uses volumes, in the order in which it was made. */
  readonly users: Map<string, () => Promise<unknown>>;
  readonly volumes: Set<string>;
}

const nothing = (): Made => ({ users: new Map(), volumes: new Set() });
const ofFile = nothing();
let made = ofFile;

beforeEach(({ onTestFinished }) => {
  made = nothing();
  // The first that is asked for is the last that is done: by then the test has let go of all.
  onTestFinished(async () => {
    const ofTest = made;
    made = ofFile;
    await removeAll(ofTest);
  }, 120_000);
});

afterAll(() => removeAll(ofFile), 120_000);

/** Whatever fails, the others go. */
async function removeAll({ users, volumes }: Made): Promise<void> {
  const removals = [
    ...[...users.values()].reverse(),
    ...[...volumes].map((name) => () => engine.getVolume(name).remove()),
  ];
  const failed: unknown[] = [];
  for (const remove of removals) await removed(remove).catch((error) => failed.push(error));
  if (failed.length > 0) throw new AggregateError(failed, `not removed: ${failed.join('; ')}`);
}

/** Somebody may be about to remove it, or who uses it: helpers of a program that was killed are removed by the next command. */
async function removed(remove: () => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await remove();
      return;
    } catch (error) {
      const { statusCode } = error as { statusCode?: number };
      if (statusCode === 404) return;
      if (statusCode !== 409 || attempt >= 20) throw error;
      await sleep(250);
    }
  }
}

export const docker = () => connectDocker(process.env);

export const uniqueName = (what: string) => `pkbt-${what}-${randomBytes(4).toString('hex')}`;

/** For what the test makes by other means: it may be gone by then. */
export function removedAtEnd(name: string, remove: () => Promise<unknown>): void {
  made.users.set(name, remove);
}

/** Removed with what the test makes, whoever makes it. */
export function volumeNamed(name: string): string {
  made.volumes.add(name);
  return name;
}

export async function makeVolume(
  name = uniqueName('volume'),
  more: Record<string, string> = {},
): Promise<string> {
  await engine.createVolume({ Name: volumeNamed(name), Labels: { ...labels, ...more } });
  return name;
}

export async function removeVolume(name: string): Promise<void> {
  await engine.getVolume(name).remove();
}

export interface ContainerOptions {
  readonly image?: string;
  readonly name?: string;
  readonly command?: string[];
  readonly entrypoint?: string[];
  readonly volumes?: Record<string, string>;
  readonly labels?: Record<string, string>;
  readonly env?: string[];
  readonly hostConfig?: Dockerode.HostConfig;
  readonly isStarted?: boolean;
  readonly more?: Dockerode.ContainerCreateOptions;
}

/** Runs `sleep` unless told otherwise; gives the id. */
export async function makeContainer(options: ContainerOptions = {}): Promise<string> {
  const isServer = options.image !== undefined && !options.command;
  const container = await engine.createContainer({
    Image: options.image ?? chromaImage,
    name: options.name ?? uniqueName('container'),
    Labels: { ...labels, ...options.labels },
    ...(isServer
      ? {}
      : { Entrypoint: options.entrypoint ?? ['dumb-init', '--'], Healthcheck: { Test: ['NONE'] } }),
    ...(isServer ? {} : { Cmd: options.command ?? ['sleep', '3600'] }),
    ...(options.env ? { Env: options.env } : {}),
    HostConfig: {
      Binds: Object.entries(options.volumes ?? {}).map(([source, target]) => `${source}:${target}`),
      ...options.hostConfig,
    },
    ...options.more,
  });
  removedAtEnd(container.id, () => container.remove({ force: true, v: true }));
  if (options.isStarted !== false) await container.start();
  return container.id;
}

export const containerOf = (id: string) => engine.getContainer(id);

export async function removeContainer(id: string): Promise<void> {
  await engine.getContainer(id).remove({ force: true });
}

export async function stateOf(id: string): Promise<{ status: string; startedAt: string }> {
  const { State } = await engine.getContainer(id).inspect();
  return { status: State.Status, startedAt: State.StartedAt };
}

/** stdout of a shell script in a new container that mounts the volume at /v. */
export async function inVolume(volume: string, script: string): Promise<string> {
  const id = await makeContainer({
    command: ['-c', script],
    entrypoint: ['/bin/bash'],
    volumes: { [volume]: '/v' },
    more: { User: '0:0' },
  });
  const container = engine.getContainer(id);
  const { StatusCode } = await container.wait();
  const output = await container.logs({ stdout: true, stderr: true, follow: false });
  await container.remove();
  made.users.delete(id);
  const plain = demux(output as unknown as Buffer);
  if (StatusCode !== 0) throw new Error(`exit code ${StatusCode}: ${plain}`);
  return plain;
}

function demux(bytes: Buffer): string {
  let said = '';
  for (let at = 0; at + 8 <= bytes.length; ) {
    const length = bytes.readUInt32BE(at + 4);
    said += bytes.toString('utf8', at + 8, at + 8 + length);
    at += 8 + length;
  }
  return said;
}

/** Everything about every entry, the root included, as one sorted listing. */
export function listingOf(volume: string): Promise<string> {
  return inVolume(
    volume,
    `cd /v && find . -printf '%p|%y|%m|%U:%G|%s|%Ts|%l|%n\\n' | sed 's/|d|\\([^|]*\\)|\\([^|]*\\)|[0-9]*|/|d|\\1|\\2||/' | LC_ALL=C sort
     find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum`,
  );
}

/** Helpers that the code under test has left behind. */
export async function helpersLeft(pid: number | undefined = process.pid): Promise<string[]> {
  const left = await engine.listContainers({ all: true, filters: { label: ['pkbackup.helper=1'] } });
  return left.filter(({ Labels }) => Labels['pkbackup.owner']?.includes(`#${pid}#`)).map(({ Id }) => Id);
}

/** What drills have left behind: names of containers, volumes and networks. */
export async function throwawaysLeft(pid: number | undefined = process.pid): Promise<string[]> {
  const filters = { label: ['pkbackup.drill'] };
  const [made, { Volumes }, networks] = await Promise.all([
    engine.listContainers({ all: true, filters }),
    engine.listVolumes({ filters }),
    engine.listNetworks({ filters }),
  ]);
  const all = [
    ...made.map(({ Names, Labels }) => ({ name: Names[0] ?? '', labels: Labels })),
    ...(Volumes ?? []).map(({ Name, Labels }) => ({ name: Name, labels: Labels })),
    ...networks.map(({ Name, Labels }) => ({ name: Name, labels: Labels ?? {} })),
  ];
  const own = all.filter(({ labels }) => labels['pkbackup.owner']?.includes(`#${pid}#`));
  return own.map(({ name }) => name).toSorted();
}

export function makeContext(scratchDir = '/nonexistent', signal = new AbortController().signal) {
  const events: Event[] = [];
  const context: StoreContext = {
    store: 'under-test',
    emit: (event) => events.push(event),
    signal,
    docker,
    scratchDir,
    environment: process.env,
  };
  return { context, events };
}

export async function bytesOf(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

/** In pieces of odd sizes, as from a decompressor. */
export async function* piecesOf(bytes: Buffer, size = 65_537): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

export async function logsOf(id: string): Promise<string> {
  const output = await engine.getContainer(id).logs({ stdout: true, stderr: true, follow: false });
  return demux(output as unknown as Buffer);
}
