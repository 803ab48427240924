// The clients of a store: containers that reach its data through a server, and are to stand still while a restore swaps it.
// Which ones, the configuration says: by name, or all that depend on the store.
import { hostname } from 'node:os';
import type { ConfiguredStore } from '../config/types.ts';
import { type Container, composeProject, composeService } from '../docker/index.ts';
import { PkbackupError } from '../errors.ts';
import { containersToHold, dependentsOf } from '../quiesce/index.ts';
import type { RestorePlan, StoreContext } from '../stores/store.ts';

/** Ids; those that do not run are among them. Throws `ambiguous` where a name may be one of several projects' services. */
export async function findClients(
  context: StoreContext,
  store: ConfiguredStore | undefined,
  plan: Pick<RestorePlan, 'volumes' | 'containers'>,
): Promise<string[]> {
  const { clients: names = [], holdDependents = false } = store ?? {};
  if (names.length === 0 && !holdDependents) return [];
  const docker = await context.docker();
  const { signal } = context;
  const [all, own] = await Promise.all([
    docker.containers({ signal }),
    containersToHold(docker, plan, signal),
  ]);
  const isOwn = ({ id }: Container) => own.some((container) => container.id === id);
  const named = names.flatMap((name) => {
    const found = containersNamed(name, all, own);
    if (found.length === 0) warn(context, `client "${name}" is not there, so it is not held`);
    return found;
  });
  const dependents = holdDependents ? dependentsOf(own, all) : [];
  const clients = [...new Set([...named, ...dependents])].filter((container) => !isOwn(container));
  const isHere = ({ id }: Container) => /^[0-9a-f]{12}$/.test(hostname()) && id.startsWith(hostname());
  for (const { name } of clients.filter(isHere))
    warn(context, `pkbackup runs in client "${name}", so it is not held`);
  return clients.filter((container) => !isHere(container)).map(({ id }) => id);
}

/** One container, or all of a compose service: in a project of the store where there is one of that name. */
function containersNamed(name: string, all: readonly Container[], own: readonly Container[]): Container[] {
  const exact = all.find((container) => container.name === name);
  if (exact) return [exact];
  const found = all.filter((container) => composeService(container) === name);
  const projects = new Set(own.map(composeProject));
  const near = found.filter((container) => projects.has(composeProject(container)));
  const candidates = near.length > 0 ? near : found;
  if (new Set(candidates.map(composeProject)).size < 2) return candidates;
  const quoted = candidates.map((container) => `"${container.name}"`).join(', ');
  throw new PkbackupError('ambiguous', `client "${name}" may be one of several containers: ${quoted}`, {
    hint: 'name the containers under clients: of the store',
  });
}

function warn({ emit, store }: StoreContext, message: string): void {
  emit({ type: 'warning', store, message });
}
