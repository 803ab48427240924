// Keepers: a keeper is a container that is never started, made like one that somebody is about to replace. As long as it is
// there its image and its volumes cannot be removed, and the other one can be made again as it was: with its environment,
// which so is nowhere but where Docker had it before. What a keeper cannot be itself (name, labels, networks, restart
// policy) is in a label of it; commands and variables never are, because labels are shown in lists.
import { PkbackupError } from '../errors.ts';
import { guardLabel, isUp, parseContainer } from './container.ts';
import { inspectIfThere, type Named, removeContainer, summarise } from './containers.ts';
import type { CallOptions } from './deadline.ts';
import type { Engine } from './engine.ts';
import { hasStatus } from './engine-errors.ts';
import { ownLabels } from './helpers.ts';
import { imageIfThere, tagImage } from './images.ts';
import { connectNetwork, createNetworkLike, type NetworkDefinition, networkDefinition } from './networks.ts';

export interface KeepOptions extends CallOptions {
  /** Of 8 hexadecimal digits. */
  readonly guardId: string;
  /** Tells the keepers of one guard apart. */
  readonly number: number;
}

export interface Keeper extends Named {
  readonly number: number;
  /** What it was made like. */
  readonly was: {
    readonly id: string;
    readonly name: string;
    readonly image: string;
    readonly isUp: boolean;
  };
  /** Made again where somebody has removed it, from what is known in this process; throws where its image is gone. */
  remake(options?: CallOptions): Promise<void>;
}

interface Was {
  readonly id: string;
  readonly name: string;
  /** As it was named at creation; the id of the image beside it. */
  readonly image: string;
  readonly imageId: string;
  readonly isUp: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly restartPolicy: unknown;
  readonly isRemovedOnStop: boolean;
  readonly networkMode: string;
  readonly networks: Readonly<Record<string, Network>>;
}

interface Network {
  readonly endpoint: object;
  /** For one that is gone by then; undefined for those that are always there. */
  readonly definition?: NetworkDefinition;
}

interface Raw {
  Id?: string;
  Image?: string;
  Config?: Record<string, unknown> & { Hostname?: string };
  HostConfig?: Record<string, unknown> & RawHostConfig;
  Mounts?: RawMount[] | null;
  NetworkSettings?: { Networks?: Record<string, RawEndpoint | null> | null };
}

interface RawHostConfig {
  NetworkMode?: string;
  Binds?: string[] | null;
  Mounts?: { Type?: string; Source?: string; Target?: string }[] | null;
  Links?: string[] | null;
  RestartPolicy?: unknown;
  AutoRemove?: boolean;
}

interface RawMount {
  Type?: string;
  Name?: string;
  Source?: string;
  Destination?: string;
  Mode?: string;
  RW?: boolean;
}

interface RawEndpoint {
  NetworkID?: string;
  IPAMConfig?: unknown;
  Links?: unknown;
  Aliases?: string[] | null;
  DriverOpts?: unknown;
}

const wasLabel = 'pkbackup.guard.was';
/** The Engine makes them itself. */
const builtIn = ['bridge', 'host', 'none'];

const nameOf = (guardId: string, number: number) => `pkbackup-guard-${guardId}-${number}`;

/** Throws `not_found` where the container is gone. Nothing of the container itself is touched. */
export async function keep(engine: Engine, container: Named, options: KeepOptions): Promise<Keeper> {
  const raw = await inspectRaw(engine, container.id, options);
  if (!raw) throw new PkbackupError('not_found', `container "${container.name}" is not there any more`);
  const was = await describe(engine, raw, options);
  const name = nameOf(options.guardId, options.number);
  const labels = {
    ...ownLabels(),
    [guardLabel]: options.guardId,
    [wasLabel]: JSON.stringify({ ...was, number: options.number }),
  };
  const { RestartPolicy: _, ...host } = hostConfigOf(raw, was);
  const body = {
    ...configOf(raw),
    Image: was.imageId,
    Labels: labels,
    HostConfig: { ...host, AutoRemove: false, RestartPolicy: { Name: 'no' } },
  };
  const make = (how: CallOptions) => create(engine, name, body, `keep container "${was.name}"`, how);
  const id = await make(options);
  return {
    id,
    name,
    number: options.number,
    was,
    async remake(how = {}) {
      if (!(await inspectIfThere(engine, name, how))) await make(how);
    },
  };
}

/** Those that are there, by number. */
export async function listKeepers(
  engine: Engine,
  guardId: string,
  options?: CallOptions,
): Promise<Omit<Keeper, 'remake'>[]> {
  const all = (await summarise(engine, options)).filter(({ labels }) => labels[guardLabel] === guardId);
  return all
    .map(({ id, name, labels }) => {
      const { number, ...was } = parseWas(labels, name);
      return { id, name, number, was };
    })
    .toSorted((a, b) => a.number - b.number);
}

/** Their volumes stay. */
export async function removeKeepers(engine: Engine, guardId: string, options?: CallOptions): Promise<void> {
  const all = (await summarise(engine, options)).filter(({ labels }) => labels[guardLabel] === guardId);
  for (const one of all) await removeContainer(engine, one, { ...options, keepsVolumes: true });
}

/**
 * The container as it was, under a name of its own and not started; gives its id. What an earlier call has left is made
 * anew. Networks that are gone come back.
 */
export async function remakeKept(
  engine: Engine,
  keeper: Pick<Keeper, 'name'>,
  options: CallOptions = {},
): Promise<{ id: string; image: string }> {
  const raw = await inspectRaw(engine, keeper.name, options);
  if (!raw) throw new PkbackupError('not_found', `container "${keeper.name}" is not there any more`);
  const was = parseWas((raw.Config?.Labels ?? {}) as Record<string, string>, keeper.name);
  const name = `${keeper.name}-back`;
  await removeContainer(engine, { id: name, name }, { ...options, keepsVolumes: true });
  for (const { definition } of Object.values(was.networks)) {
    if (definition) await createNetworkLike(engine, definition, options);
  }
  const image = await imageFor(engine, was, options);
  const [first, ...others] = endpointsOf(was);
  const body = {
    ...configOf(raw),
    Image: image,
    Labels: was.labels,
    HostConfig: {
      ...raw.HostConfig,
      NetworkMode: was.networkMode,
      AutoRemove: was.isRemovedOnStop,
      RestartPolicy: was.restartPolicy,
    },
    ...(first && { NetworkingConfig: { EndpointsConfig: { [first[0]]: first[1] } } }),
  };
  const id = await create(engine, name, body, `make container "${was.name}" again`, options);
  for (const [network, endpoint] of others) await connectNetwork(engine, network, id, endpoint, options);
  return { id, image };
}

async function inspectRaw(engine: Engine, id: string, options: CallOptions): Promise<Raw | undefined> {
  const act = `look at container "${id.slice(0, 64)}"`;
  try {
    const path = `/containers/${encodeURIComponent(id)}/json`;
    return (await engine.call({ method: 'GET', path, act }, options)).json as Raw;
  } catch (error) {
    if (hasStatus(error, 404)) return undefined;
    throw error;
  }
}

async function describe(engine: Engine, raw: Raw, options: CallOptions): Promise<Was> {
  const container = parseContainer(raw, 'keep a container');
  const { HostConfig: host = {} } = raw;
  const endpoints = Object.entries(raw.NetworkSettings?.Networks ?? {});
  const networks = await Promise.all(
    endpoints.map(async ([name, endpoint]): Promise<[string, Network]> => {
      if (builtIn.includes(name)) return [name, { endpoint: {} }];
      const definition = await networkDefinition(engine, name, options);
      return [name, { endpoint: endpointOf(endpoint, container.id), ...(definition && { definition }) }];
    }),
  );
  const byId = endpoints.find(([, endpoint]) => endpoint?.NetworkID === host.NetworkMode)?.[0];
  return {
    id: container.id,
    name: container.name,
    image: container.image,
    imageId: container.imageId,
    isUp: isUp(container),
    labels: container.labels,
    restartPolicy: host.RestartPolicy ?? { Name: 'no' },
    isRemovedOnStop: container.isRemovedOnStop,
    networkMode: byId ?? (await withName(engine, host.NetworkMode ?? 'default', options)),
    networks: Object.fromEntries(networks),
  };
}

/** Whose network it shares may have another id by then, but not another name. */
async function withName(engine: Engine, mode: string, options: CallOptions): Promise<string> {
  const id = /^container:(.+)$/.exec(mode)?.[1];
  const other = id === undefined ? undefined : await inspectIfThere(engine, id, options);
  return other ? `container:${other.name}` : mode;
}

/** Without what the Engine gives it by itself. */
function endpointOf(endpoint: RawEndpoint | null, containerId: string): object {
  const { IPAMConfig, Links, Aliases, DriverOpts } = endpoint ?? {};
  const aliases = (Aliases ?? []).filter((alias) => alias !== containerId.slice(0, 12));
  return { IPAMConfig, Links, DriverOpts, ...(aliases.length > 0 && { Aliases: aliases }) };
}

/** The one that the container is made with comes first; older Engines take no more at that. */
function endpointsOf({ networks, networkMode }: Was): [string, object][] {
  const all = Object.entries(networks).filter(([, { definition }]) => definition !== undefined);
  const isFirst = ([name]: [string, Network]) => name === networkMode;
  return [...all.filter(isFirst), ...all.filter((one) => !isFirst(one))].map(([name, { endpoint }]) => [
    name,
    endpoint,
  ]);
}

function configOf({ Id = '', Config = {} }: Raw): Record<string, unknown> {
  const { Hostname, ...config } = Config;
  return Hostname === undefined || Id.startsWith(Hostname) ? config : { ...config, Hostname };
}

/** Every volume by its name: those without one, and those of other containers, are mounted and not made anew. */
function hostConfigOf({ HostConfig: host = {}, Mounts }: Raw, { networkMode }: Was): Record<string, unknown> {
  const binds = host.Binds ?? [];
  const mounts = (host.Mounts ?? []).filter(({ Type, Source }) => Type !== 'volume' || Boolean(Source));
  const known = new Set([
    ...binds.filter((bind) => bind.includes(':')).map(destinationOf),
    ...mounts.map(({ Target = '' }) => Target),
  ]);
  const others = (Mounts ?? []).filter(
    ({ Type, Destination = '' }) => (Type === 'volume' || Type === 'bind') && !known.has(Destination),
  );
  return {
    ...host,
    NetworkMode: networkMode,
    Binds: [...binds.filter((bind) => bind.includes(':')), ...others.map(bindOf)],
    Mounts: mounts,
    VolumesFrom: null,
    ContainerIDFile: '',
    Links: (host.Links ?? []).map(linkOf),
  };
}

/** `data:/data:ro`; a path of Windows has a colon of its own. */
function destinationOf(bind: string): string {
  const [, destination = ''] = /^(?:[A-Za-z]:[\\/])?[^:]*:((?:[A-Za-z]:[\\/])?[^:]*)/.exec(bind) ?? [];
  return destination;
}

function bindOf({ Type, Name, Source, Destination, RW }: RawMount): string {
  return `${(Type === 'volume' ? Name : Source) ?? ''}:${Destination}${RW === false ? ':ro' : ''}`;
}

/** Docker tells `/db:/app/alias` and takes `db:alias`. */
function linkOf(link: string): string {
  const [other = '', alias = ''] = link.split(':');
  return `${other.replace(/^\//, '')}:${alias.slice(alias.lastIndexOf('/') + 1)}`;
}

/**
 * What the old image is called now: its name may have been given to another one meanwhile. By its digest then, else by a tag
 * of our own, so that programs that look at the name still know what it is.
 */
async function imageFor(engine: Engine, was: Was, options: CallOptions): Promise<string> {
  const { image, imageId, name } = was;
  if ((await imageIfThere(engine, image, options))?.id === imageId) return image;
  const old = await imageIfThere(engine, imageId, options);
  if (!old)
    throw new PkbackupError('not_found', `the image "${image}" of container "${name}" is not here any more`, {
      hint: 'pull it again by its digest, then go on with: pkbackup recover',
    });
  const [, repository = '', tag = 'latest'] = /^(.+?)(?::([^/:@]+))?(?:@.*)?$/.exec(image) ?? [];
  if (repository === '' || /^(sha256:)?[0-9a-f]{12,64}$/.test(image)) return imageId;
  for (const digest of old.digests.filter((each) => each.startsWith(`${repository}@`))) {
    if ((await imageIfThere(engine, digest, options))?.id === imageId) return digest;
  }
  const own = `${tag}-pkbackup-${imageId.replace('sha256:', '').slice(0, 12)}`;
  await tagImage(engine, imageId, { repository, tag: own }, options);
  return `${repository}:${own}`;
}

async function create(
  engine: Engine,
  name: string,
  body: object,
  act: string,
  options: CallOptions,
): Promise<string> {
  const request = { method: 'POST', path: '/containers/create', query: { name }, body, act } as const;
  const { json } = await engine.call(request, options);
  const id = (json as { Id?: unknown } | undefined)?.Id;
  if (typeof id !== 'string') throw new PkbackupError('failed', `${act}: Docker gave no id`);
  return id;
}

function parseWas(labels: Readonly<Record<string, string>>, name: string): Was & { number: number } {
  try {
    return JSON.parse(labels[wasLabel] ?? '') as Was & { number: number };
  } catch (error) {
    throw new PkbackupError('failed', `container "${name}" does not say what it keeps`, { cause: error });
  }
}
