// Everything that `init` can find: stores of Docker and of this machine, each with a name of its own.
import type { Container, Docker } from '../docker/index.ts';
import { storeOf } from '../stores/index.ts';
import { type DiscoverOptions, type Discovery, discover } from './discover.ts';
import type { FoundStore } from './found-stores.ts';
import { findOnHost } from './host-files.ts';
import { withUniqueNames } from './store-names.ts';
import type { Environment } from './substitute.ts';

export interface Found {
  readonly project: string | undefined;
  readonly stores: readonly FoundStore[];
  /** Volumes that hold what nobody recognised. */
  readonly volumes: readonly FoundStore[];
  /** Directories of this machine that containers write to. */
  readonly directories: readonly FoundStore[];
  readonly notUnderstood: Discovery['notUnderstood'];
  readonly labelledOut: readonly string[];
}

export interface FindOptions extends DiscoverOptions {
  /** Of `.env` files: what of it is a container's password is named in its entry, and never written. */
  readonly variables: Environment;
  /** Directories that are never looked into. */
  readonly leftOut: readonly string[];
  /** Names that are taken. */
  readonly taken?: readonly string[];
}

export async function findAll(docker: Docker, options: FindOptions): Promise<Found> {
  const { variables, leftOut, signal, taken = [] } = options;
  const found = await discover(docker, options);
  // The paths of containers on another machine are not ours.
  const isHere = /^(unix|npipe):/.test(docker.url);
  const onHost = isHere ? await findOnHost(found.others, { leftOut, signal }) : { stores: [], offers: [] };
  const all = [...found.stores, ...onHost.stores, ...found.offers, ...onHost.offers];
  const named = withUniqueNames(all, taken).map((store) => withPassword(store, variables));
  const take = (count: number) => named.splice(0, count);
  const stores = take(found.stores.length + onHost.stores.length);
  return {
    project: found.project,
    stores,
    volumes: take(found.offers.length),
    directories: named,
    notUnderstood: found.notUnderstood,
    labelledOut: found.leftOut,
  };
}

/** `password_env`, where a variable holds what the container was given as its password, and the kind has such a key. */
function withPassword(store: FoundStore, variables: Environment): FoundStore {
  const { container, kind, target } = store;
  if (container === undefined || typeof target !== 'object') return store;
  const names = Object.entries(variables).flatMap(([name, value]) => {
    return /PASS/i.test(name) && value && holds(container, value) ? [name] : [];
  });
  const name = names.find((each) => each in container.env) ?? (names.length === 1 ? names[0] : undefined);
  const parsed = storeOf(kind).schema.safeParse({ ...target, password_env: name });
  return name === undefined || !parsed.success ? store : { ...store, target: parsed.data };
}

/** As a variable of its own, after a user's name (`NEO4J_AUTH`), or as an argument (`REDIS_ARGS`). */
function holds({ env }: Container, secret: string): boolean {
  return Object.values(env).some((value) => {
    return value === secret || value.endsWith(`/${secret}`) || value.split(/\s+/).includes(secret);
  });
}
