// Who is held, and in which order. Containers are found by the volume that they mount, never by name; others are those
// that somebody else has found.
import { type Container, composeProject, composeService, type Docker, isUp } from '../docker/index.ts';
import { PkbackupError } from '../errors.ts';
import type { Quiesce } from '../words.ts';
import { levelsOf, needsOf } from './dependencies.ts';

export type HoldMode = Exclude<Quiesce, 'none'>;

/** A container that ran and is held: enough to let it go in another process, or after it was recreated. */
export interface Held {
  readonly id: string;
  readonly name: string;
  readonly startedAt: string;
  /** What its own health check said before; missing where it has none. */
  readonly wasHealthy?: boolean;
  readonly project?: string;
  readonly service?: string;
  /** It does not use the volumes: it is stopped before those that do, and let go after them. */
  readonly isClient?: boolean;
}

export interface HoldPlan {
  readonly mode: HoldMode;
  readonly volumes: readonly string[];
  /** Ids of those that are held beside the users of the volumes. */
  readonly containers?: readonly string[];
  readonly graceSeconds: number;
  /** Helpers of this restore go on when its process dies: nobody is let go before they have ended. */
  readonly restoreId?: string;
  /** In the order of stopping: who depends on others comes before them. Those of one level do not depend on each other. */
  readonly levels: readonly (readonly Held[])[];
}

export interface HoldWish extends Omit<HoldPlan, 'levels'> {
  /** Ids of containers that reach the data through a server only. */
  readonly clients?: readonly string[] | undefined;
}

/** Those that run; what is stopped, created or paused already is left as it is. */
export async function planHold(docker: Docker, wish: HoldWish, signal: AbortSignal): Promise<HoldPlan> {
  const { clients: wanted = [], ...plan } = wish;
  const users = await containersToHold(docker, plan, signal);
  const all = wanted.length === 0 ? users : await docker.containers({ signal });
  const isUser = ({ id }: Container) => users.some((user) => user.id === id);
  const clients = all.filter((container) => wanted.includes(container.id) && !isUser(container));
  if (plan.mode === 'stop') for (const container of [...users, ...clients]) refuseStop(container);
  const needs = needsOf(all);
  // One that a user needs has to be there when the user starts.
  const late = clients.filter(({ id }) => !users.some((user) => needs.get(user.id)?.has(id)));
  const ofClients = new Map(
    late.map(({ id }) => [id, new Set([...(needs.get(id) ?? []), ...users.map((user) => user.id)])]),
  );
  const levels = levelsOf([...users, ...clients].filter(isRunning), new Map([...needs, ...ofClients]));
  return { ...plan, levels: levels.map((level) => level.map((one) => heldOf(one, late.includes(one)))) };
}

const isRunning = ({ state }: Container) => state === 'running' || state === 'restarting';

/** Users of the volumes, and those that were named; one that is gone meanwhile is left out. */
export async function containersToHold(
  docker: Docker,
  { volumes, containers = [] }: Pick<HoldPlan, 'volumes' | 'containers'>,
  signal?: AbortSignal,
): Promise<Container[]> {
  const users = Promise.all(volumes.map((volume) => docker.containersOf(volume, { signal })));
  const named = Promise.all(containers.map((id) => docker.container(id, { signal })));
  const found = [...(await users).flat(), ...(await named).filter((container) => container !== undefined)];
  return [...new Map(found.map((container) => [container.id, container])).values()];
}

function refuseStop(container: Container): void {
  if (!isUp(container)) return;
  if (container.isRemovedOnStop) {
    throw new PkbackupError(
      'failed',
      `container "${container.name}" was started with --rm: a stop would remove it`,
      { hint: 'start it without --rm, or with a restart policy' },
    );
  }
  if (container.state === 'paused') {
    throw new PkbackupError('failed', `container "${container.name}" is paused: a stop would kill it`, {
      hint: `docker unpause ${container.name}`,
    });
  }
}

function heldOf(container: Container, isClient: boolean): Held {
  const project = composeProject(container);
  const service = composeService(container);
  return {
    id: container.id,
    name: container.name,
    startedAt: container.startedAt,
    ...(container.hasHealthCheck ? { wasHealthy: container.health === 'healthy' } : {}),
    ...(project === undefined ? {} : { project }),
    ...(service === undefined ? {} : { service }),
    ...(isClient ? { isClient } : {}),
  };
}
