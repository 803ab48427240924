// A place for one drill: a volume, a network that leads nowhere, and a server on both. Nothing of it is published, nothing
// outlives the drill. All names come from the id of the drill and all labels say whose it is, so that what a crash leaves can
// be found and removed, also by somebody who knows no more than the id.
import { PkbackupError } from '../errors.ts';
import { type Container, drillLabel, isHelper } from './container.ts';
import { inspectIfThere, removeContainer, startContainer, summarise } from './containers.ts';
import { type CallOptions, sleep } from './deadline.ts';
import type { Engine } from './engine.ts';
import { hasStatus } from './engine-errors.ts';
import { type HelperOwner, ownerOf, ownLabels } from './helpers.ts';
import { createVolume, listVolumes, removeVolume } from './volumes.ts';

export interface Throwaway extends AsyncDisposable {
  readonly volume: string;
  readonly network: string;
  /** Once only: the server, with the volume at every one of these paths. Not waited for. */
  start(options: ServerOptions): Promise<Container>;
}

export interface ServerOptions extends CallOptions {
  /** MUST be here. */
  readonly image: string;
  readonly mountedAt: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const clearDeadlineMs = 30_000;
/** How long a request of a process that was killed may go on in the Engine. */
const settleMs = 300;

const nameOf = (id: string): string => `pkbackup-drill-${id}`;

/** `id` is of 8 hexadecimal digits, and nobody else's. Throws what Docker says, and leaves nothing then. */
export async function openThrowaway(
  engine: Engine,
  id: string,
  options: CallOptions = {},
): Promise<Throwaway> {
  const name = nameOf(id);
  const labels = { ...ownLabels(), [drillLabel]: id };
  const clear = () => clearThrowaway(engine, id);
  try {
    await createVolume(engine, { name, labels }, options);
    await createNetwork(engine, name, labels, options);
  } catch (error) {
    await clear().catch(() => undefined);
    throw error;
  }
  return {
    volume: name,
    network: name,
    start: (server) => startServer(engine, name, labels, server),
    [Symbol.asyncDispose]: clear,
  };
}

async function createNetwork(
  engine: Engine,
  name: string,
  labels: Readonly<Record<string, string>>,
  options: CallOptions,
): Promise<void> {
  const body = { Name: name, CheckDuplicate: true, Driver: 'bridge', Internal: true, Labels: labels };
  const act = `create network "${name}"`;
  await engine.call({ method: 'POST', path: '/networks/create', body, act }, options);
}

async function startServer(
  engine: Engine,
  name: string,
  labels: Readonly<Record<string, string>>,
  { image, mountedAt, env = {}, ...options }: ServerOptions,
): Promise<Container> {
  const body = {
    Image: image,
    Env: Object.entries(env).map(([key, value]) => `${key}=${value}`),
    // The store asks for itself, and does not wait for an interval.
    Healthcheck: { Test: ['NONE'] },
    Labels: labels,
    HostConfig: {
      NetworkMode: name,
      PublishAllPorts: false,
      RestartPolicy: { Name: 'no' },
      // What it says is read where it does not come up.
      LogConfig: { Type: 'json-file', Config: {} },
      Mounts: mountedAt.map((target) => ({
        Type: 'volume',
        Source: name,
        Target: target,
        VolumeOptions: { NoCopy: true },
      })),
    },
  };
  const act = `create container "${name}"`;
  await engine.call({ method: 'POST', path: '/containers/create', query: { name }, body, act }, options);
  await startContainer(engine, { id: name, name }, options);
  const container = await inspectIfThere(engine, name, options);
  if (!container) throw new PkbackupError('failed', `container "${name}" is gone`);
  return container;
}

/** Helpers that work on the volume go too. Throws `failed` where anything is still there after `deadlineMs`. */
export async function clearThrowaway(engine: Engine, id: string, options: CallOptions = {}): Promise<void> {
  const { signal, deadlineMs = clearDeadlineMs } = options;
  const name = nameOf(id);
  const endAt = performance.now() + deadlineMs;
  for (let waitMs = 20; ; waitMs = Math.min(500, waitMs * 1.5)) {
    const users = (await summarise(engine, { signal })).filter(
      (one) => isHelper(one) && (one.labels[drillLabel] === id || one.sources.includes(name)),
    );
    await Promise.all(users.map((one) => removeContainer(engine, one, { signal })));
    const isGone = (await removeUnused(engine, name, signal)) && users.length === 0;
    if (isGone) return;
    if (performance.now() > endAt) {
      throw new PkbackupError('failed', `container, volume or network "${name}" cannot be removed`, {
        hint: 'pkbackup recover tries again',
      });
    }
    await sleep(waitMs, signal);
  }
}

/** The same for a process that was killed: what it had begun in the Engine is waited for. */
export async function clearDeadThrowaway(
  engine: Engine,
  id: string,
  options: CallOptions = {},
): Promise<void> {
  await clearThrowaway(engine, id, options);
  await sleep(settleMs, options.signal);
  await clearThrowaway(engine, id, options);
}

/** False where somebody still uses one of them. */
async function removeUnused(engine: Engine, name: string, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    await removeVolume(engine, name, { signal });
    await removeNetwork(engine, name, { signal });
    return true;
  } catch (error) {
    // 403: the network has endpoints; 409: the volume has users.
    if (hasStatus(error, 403, 409)) return false;
    throw error;
  }
}

async function removeNetwork(engine: Engine, name: string, options: CallOptions): Promise<void> {
  const act = `remove network "${name}"`;
  try {
    await engine.call({ method: 'DELETE', path: `/networks/${encodeURIComponent(name)}`, act }, options);
  } catch (error) {
    if (!hasStatus(error, 404)) throw error;
  }
}

/** Ids of drills whose process `isAlive` denies, and of which something is left. */
export async function findOrphanThrowaways(
  engine: Engine,
  isAlive: (owner: HelperOwner) => boolean,
  options: CallOptions = {},
): Promise<string[]> {
  const [containers, volumes, networks] = await Promise.all([
    summarise(engine, options),
    listVolumes(engine, options),
    listNetworks(engine, options),
  ]);
  const left = [...containers, ...volumes, ...networks].map(({ labels }) => labels);
  const dead = left.filter((labels) => labels[drillLabel] !== undefined && !isAlive(ownerOf(labels)));
  return [...new Set(dead.map((labels) => labels[drillLabel] ?? ''))].filter((id) =>
    /^[0-9a-f]{8}$/.test(id),
  );
}

async function listNetworks(
  engine: Engine,
  options: CallOptions,
): Promise<{ readonly labels: Readonly<Record<string, string>> }[]> {
  const { json } = await engine.call({ method: 'GET', path: '/networks', act: 'list networks' }, options);
  const networks = Array.isArray(json) ? (json as { Labels?: Record<string, string> | null }[]) : [];
  return networks.map(({ Labels }) => ({ labels: Labels ?? {} }));
}
