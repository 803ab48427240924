// Who writes to the stores of one run, and holding them while every store is pinned: the containers that the configuration
// names, or else every container of the stores' compose projects that is not a store itself.
import { type Container, composeProject, composeService, type Docker } from '../docker/index.ts';
import { messageOf, PkbackupError } from '../errors.ts';
import { type Hold, type HoldMode, type PreparedHold, prepareHold } from '../quiesce/index.ts';
import type { Look } from '../stores/store.ts';
import {
  type OutsideClients,
  type OutsideHold,
  type PreparedOutsideHold,
  prepareOutsideHold,
} from './outside-clients.ts';
import type { Held, Writers } from './rendezvous.ts';
import { guardOf, type Run } from './run.ts';

/** What is known of a store when it is ready to be pinned. */
export interface ReadyStore {
  readonly look: Look;
  /** Its own containers are held by itself. */
  readonly isHeld: boolean;
}

export interface Clients {
  /** By name, id or compose service; all of the stores' compose projects where there is none. */
  readonly containers: readonly string[];
  /**
   * A pause is one moment, but may part what a client writes to several stores; a client that is asked to stop can finish
   * what it has begun.
   */
  readonly quiesce: HoldMode;
  /** Those that live outside Docker. */
  readonly outside?: OutsideClients;
}

export function writersOf(run: Run, clients: Clients): Writers<ReadyStore> {
  return {
    async hold(ready) {
      // Everything that takes time comes first: from the first that is held every millisecond counts.
      const prepared = await prepareContainers(run, clients, ready);
      try {
        await using outside = clients.outside && (await prepareOutsideHold(run, clients.outside));
        return await holdBoth(run, prepared, outside);
      } catch (error) {
        await prepared?.[Symbol.asyncDispose]();
        throw error;
      }
    },
  };
}

async function holdBoth(
  run: Run,
  prepared: PreparedHold | undefined,
  outside: PreparedOutsideHold | undefined,
): Promise<Held> {
  const startedMs = performance.now();
  // A program takes longer than a pause: those in Docker go on meanwhile.
  const heldOutside = await outside?.hold();
  try {
    const hold = await prepared?.hold();
    return { release: () => releaseBoth(hold, heldOutside, startedMs) };
  } catch (error) {
    await heldOutside?.release().catch((later: unknown) => {
      run.emit({ type: 'warning', message: messageOf(later) });
    });
    throw error;
  }
}

/** The other way round than they were held; a failure of one is no reason to leave out the other. */
async function releaseBoth(
  hold: Hold | undefined,
  outside: OutsideHold | undefined,
  startedMs: number,
): Promise<number> {
  const [ofContainers] = await Promise.allSettled([hold?.release()]);
  const [ofOthers] = await Promise.allSettled([outside?.release()]);
  if (ofContainers.status === 'rejected') throw ofContainers.reason;
  if (ofOthers.status === 'rejected') throw ofOthers.reason;
  return outside ? Math.round(performance.now() - startedMs) : (ofContainers.value?.downtimeMs ?? 0);
}

/** Undefined where nobody in Docker is known to write. */
async function prepareContainers(
  run: Run,
  { containers: names, quiesce, outside }: Clients,
  ready: readonly ReadyStore[],
): Promise<PreparedHold | undefined> {
  const hasProjects = ready.some(({ look }) => look.source.compose_project !== undefined);
  if (outside && names.length === 0 && !hasProjects) return undefined;
  const docker = await run.docker();
  const containers = await containersToPause(docker, names, ready, run.signal);
  return prepareHold({
    docker,
    volumes: [],
    containers: containers.map(({ id }) => id),
    quiesce,
    store: 'clients',
    guard: guardOf(run),
    emit: run.emit,
    signal: run.signal,
  });
}

async function containersToPause(
  docker: Docker,
  clients: readonly string[],
  ready: readonly ReadyStore[],
  signal: AbortSignal,
): Promise<Container[]> {
  const ofStores = await storeContainers(docker, ready, signal);
  const found =
    clients.length > 0
      ? await containersNamed(docker, clients, ready, signal)
      : await containersOfProjects(docker, ready, signal);
  return found.filter(({ id, state }) => state === 'running' && !ofStores.has(id));
}

/**
 * A service of the stores' own compose projects first, all containers of it: another instance of the stack has one of the same
 * name. Throws `not_found` or `ambiguous`.
 */
async function containersNamed(
  docker: Docker,
  clients: readonly string[],
  ready: readonly ReadyStore[],
  signal: AbortSignal,
): Promise<Container[]> {
  const projects = projectsOf(ready);
  const ofProjects = (await docker.containers({ signal })).filter((container) =>
    projects.has(composeProject(container) ?? ''),
  );
  const named = clients.map(async (client) => {
    const ofService = ofProjects.filter((container) => composeService(container) === client);
    return ofService.length > 0 ? ofService : [await docker.findContainer(client, { signal })];
  });
  const byId = new Map((await Promise.all(named)).flat().map((container) => [container.id, container]));
  return [...byId.values()];
}

function projectsOf(ready: readonly ReadyStore[]): ReadonlySet<string> {
  return new Set(ready.flatMap(({ look }) => look.source.compose_project ?? []));
}

/** Servers, which do not write to each other, and users of volumes that are held with their store. */
async function storeContainers(
  docker: Docker,
  ready: readonly ReadyStore[],
  signal: AbortSignal,
): Promise<Set<string>> {
  const ids = new Set<string>();
  for (const { look, isHeld } of ready) {
    const { container } = look.source;
    if (container !== undefined) ids.add((await docker.findContainer(container, { signal })).id);
    if (!isHeld) continue;
    for (const volume of look.volumes) {
      for (const { id } of await docker.containersOf(volume, { signal })) ids.add(id);
    }
  }
  return ids;
}

async function containersOfProjects(
  docker: Docker,
  ready: readonly ReadyStore[],
  signal: AbortSignal,
): Promise<Container[]> {
  const projects = projectsOf(ready);
  if (projects.size === 0) {
    throw new PkbackupError(
      'config',
      'nobody knows who writes to these stores, so nobody can be held for one moment',
      {
        hint: 'name the containers that write under "clients:" in pkbackup.yaml; without them, leave out --consistent',
      },
    );
  }
  const containers = await docker.containers({ signal });
  return containers.filter((container) => projects.has(composeProject(container) ?? ''));
}
