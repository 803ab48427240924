// What can be seen to be wrong before a guard runs its command: a store that is not well already, containers that cannot be
// put back, no room for the way back.
import type { ConfiguredStore } from '../config/types.ts';
import type { Container } from '../docker/index.ts';
import { isUp } from '../docker/index.ts';
import { PkbackupError } from '../errors.ts';
import type { Backup } from '../repository/index.ts';
import { littleSpace } from '../stores/free-space.ts';
import { storeOf } from '../stores/index.ts';
import type { Look } from '../stores/store.ts';
import { predict } from './backup-store.ts';
import { findClients } from './clients.ts';
import { factsOf } from './inspect-archive.ts';
import { contextFor, type Run } from './run.ts';

/** A container to put back, should the command replace it. */
export interface Guarded {
  readonly container: Container;
  /** It serves a store, and does not only use it. */
  readonly isServer: boolean;
}

const steadyDeadlineMs = 60_000;

/** Throws what is wrong; nothing is held or written. Tells the versions. */
export async function refuseUnwell(run: Run, stores: readonly ConfiguredStore[]): Promise<Look[]> {
  const looks: Look[] = [];
  for (const store of stores) {
    const { look } = await predict(run, store, {});
    looks.push(look);
    const server = await serverOf(run, look);
    if (server) await refuseUnsteady(run, store, server);
    const { image, image_digest: digest } = look.source;
    const version = [look.version, image, digest].filter((part) => part !== undefined).join(', ');
    run.emit({ type: 'step', store: store.name, message: `before the command: ${version || 'no server'}` });
  }
  return looks;
}

async function serverOf(run: Run, { source }: Look): Promise<Container | undefined> {
  if (source.container === undefined) return undefined;
  return (await run.docker()).findContainer(source.container, { signal: run.signal });
}

async function refuseUnsteady({ docker, signal }: Run, { name }: ConfiguredStore, server: Container) {
  if (!isUp(server)) {
    throw new PkbackupError(
      'unhealthy',
      `${name}: container "${server.name}" does not run; nothing was run`,
      {
        hint: `a guard compares what the server has before and after: docker start ${server.name}`,
      },
    );
  }
  await (await docker()).waitUntilHealthy(server.id, { signal, deadlineMs: steadyDeadlineMs });
}

/** All that serve the stores, use their volumes, or are their clients; each once. */
export async function containersToGuard(
  run: Run,
  stores: readonly ConfiguredStore[],
  looks: readonly Look[],
): Promise<Guarded[]> {
  const found = new Map<string, Guarded>();
  const add = (container: Container | undefined, isServer: boolean) => {
    if (!container) return;
    refuseRemovedOnStop(container);
    found.set(container.id, { container, isServer: isServer || found.get(container.id)?.isServer === true });
  };
  for (const [index, store] of stores.entries()) {
    const look = looks[index];
    if (!look) continue;
    const server = await serverOf(run, look);
    add(server, true);
    const volumes = [...new Set([...look.volumes, ...(look.source.volume ? [look.source.volume] : [])])];
    for (const volume of volumes) {
      const users = await (await run.docker()).containersOf(volume, { signal: run.signal });
      for (const user of users) add(user, false);
    }
    for (const client of await clientsOf(run, store, server, volumes)) add(client, false);
  }
  return [...found.values()];
}

async function clientsOf(
  run: Run,
  store: ConfiguredStore,
  server: Container | undefined,
  volumes: readonly string[],
): Promise<Container[]> {
  const own = server ? [server.id] : [];
  const ids = await findClients(contextFor(run, store.name, ''), store, { volumes, containers: own });
  if (ids.length === 0) return [];
  const docker = await run.docker();
  const found = await Promise.all(ids.map((id) => docker.container(id, { signal: run.signal })));
  return found.filter((container) => container !== undefined);
}

function refuseRemovedOnStop({ name, isRemovedOnStop }: Container): void {
  if (!isRemovedOnStop) return;
  throw new PkbackupError('failed', `container "${name}" was started with --rm: a stop would remove it`, {
    hint: 'start it without --rm, or with a restart policy; nothing was run',
  });
}

/** The room that putting this backup back would need, asked while nothing has happened yet. */
export async function refuseNoWayBack(run: Run, store: ConfiguredStore, backup: Backup): Promise<void> {
  await using scratch = await run.repository.makeScratch();
  const context = contextFor(run, store.name, scratch.path);
  const facts = factsOf(backup.metadata);
  const { plan } = await storeOf(store.kind).planRestore(store.target, facts, { beside: false }, context);
  const little = littleSpace(plan.neededBytes, plan.freeBytes);
  if (little === undefined) return;
  throw new PkbackupError('failed', `${store.name}: there is no room for the way back: ${little}`, {
    hint: `make room in ${plan.target}; the backup "${backup.stem}" is good, and nothing was run`,
  });
}
