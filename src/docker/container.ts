// A container, as far as pkbackup needs to know it. Labels, environment and names are input: they select and describe.
import { PkbackupError } from '../errors.ts';

export type ContainerState = 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead';

export interface Mount {
  readonly type: 'volume' | 'bind' | 'tmpfs' | 'other';
  /** Name of the volume, or path on the Docker host of a bind mount. */
  readonly source: string;
  readonly destination: string;
  readonly isReadOnly: boolean;
}

export interface PublishedPort {
  /** `8000/tcp` */
  readonly containerPort: string;
  readonly hostAddress: string;
  readonly hostPort: number;
}

export interface Container {
  readonly id: string;
  readonly name: string;
  /** As it was named at creation: `chromadb/chroma:1.0.15`. */
  readonly image: string;
  readonly imageId: string;
  readonly state: ContainerState;
  /** Of the last start; the zero time where it never ran. */
  readonly startedAt: string;
  readonly exitCode: number;
  readonly health: 'healthy' | 'unhealthy' | 'starting' | undefined;
  readonly hasHealthCheck: boolean;
  readonly mounts: readonly Mount[];
  readonly labels: Readonly<Record<string, string>>;
  /** May hold secrets: never into a message, an event or a file. */
  readonly env: Readonly<Record<string, string>>;
  readonly exposedPorts: readonly string[];
  readonly publishedPorts: readonly PublishedPort[];
  /** By the names of its networks; only while it runs. */
  readonly addresses: Readonly<Record<string, string>>;
  readonly stopSignal: string | undefined;
  readonly stopTimeoutSeconds: number | undefined;
  readonly restartPolicy: string;
  /** Started with --rm: a stop removes it. */
  readonly isRemovedOnStop: boolean;
}

export const helperLabel = 'pkbackup.helper';
/** The id of the restore that a helper works for: who finds its journal after a crash finds the helper too. */
export const restoreLabel = 'pkbackup.restore';

/** Of a helper that copies: while it is there, the data of its restore is half swapped. */
export const swappingLabel = 'pkbackup.swapping';

/** The id of the drill that a container, a volume or a network is for. */
export const drillLabel = 'pkbackup.drill';

/** The id of the guard that a keeper is for. */
export const guardLabel = 'pkbackup.guard';

/** The process that a helper is of. */
export const ownerLabel = 'pkbackup.owner';

/** The id of the restore that a volume is for, which copies the data aside. */
export const asideLabel = 'pkbackup.aside';

/** All that pkbackup gives: on what people have made they mean nothing. */
export const ownLabels: readonly string[] = [
  ...[helperLabel, ownerLabel, restoreLabel, swappingLabel],
  ...[drillLabel, guardLabel, asideLabel],
];

export const isHelper = (container: Pick<Container, 'labels'>): boolean =>
  container.labels[helperLabel] === '1';

/** Its processes exist: running or paused. A restart loop counts, because it goes on by itself. */
export const isUp = (container: Container): boolean =>
  container.state === 'running' || container.state === 'paused' || container.state === 'restarting';

export const composeProject = (container: Container): string | undefined =>
  container.labels['com.docker.compose.project'];
export const composeService = (container: Container): string | undefined =>
  container.labels['com.docker.compose.service'];

/** What `GET /containers/{id}/json` answers, as far as it is read. */
interface RawContainer {
  Id?: string;
  Name?: string;
  Image?: string;
  State?: {
    Status?: string;
    StartedAt?: string;
    ExitCode?: number;
    Health?: { Status?: string };
  };
  Mounts?: { Type?: string; Name?: string; Source?: string; Destination?: string; RW?: boolean }[];
  Config?: {
    Image?: string;
    Labels?: Record<string, string> | null;
    Env?: string[] | null;
    ExposedPorts?: Record<string, unknown> | null;
    StopSignal?: string;
    StopTimeout?: number | null;
    Healthcheck?: { Test?: string[] } | null;
  };
  HostConfig?: { RestartPolicy?: { Name?: string }; AutoRemove?: boolean };
  NetworkSettings?: {
    Ports?: Record<string, { HostIp?: string; HostPort?: string }[] | null> | null;
    Networks?: Record<string, { IPAddress?: string } | null> | null;
  };
}

export function parseContainer(json: unknown, act: string): Container {
  const raw = (json ?? {}) as RawContainer;
  if (typeof raw.Id !== 'string') throw new PkbackupError('failed', `${act}: Docker answered without an id`);
  const { State: state = {}, Config: config = {}, HostConfig: host = {} } = raw;
  const test = config.Healthcheck?.Test?.[0];
  return {
    id: raw.Id,
    name: (raw.Name ?? raw.Id).replace(/^\//, ''),
    image: config.Image ?? raw.Image ?? '',
    imageId: raw.Image ?? '',
    state: (state.Status ?? 'dead') as ContainerState,
    startedAt: state.StartedAt ?? '',
    exitCode: state.ExitCode ?? 0,
    health: healthOf(state.Health?.Status),
    hasHealthCheck:
      test !== undefined ? test !== 'NONE' : state.Health !== undefined && state.Health.Status !== 'none',
    mounts: (raw.Mounts ?? []).map(parseMount),
    labels: config.Labels ?? {},
    env: parseEnv(config.Env ?? []),
    exposedPorts: Object.keys(config.ExposedPorts ?? {}),
    publishedPorts: parsePorts(raw.NetworkSettings?.Ports ?? {}),
    addresses: parseAddresses(raw.NetworkSettings?.Networks ?? {}),
    stopSignal: config.StopSignal,
    stopTimeoutSeconds: config.StopTimeout ?? undefined,
    restartPolicy: host.RestartPolicy?.Name || 'no',
    isRemovedOnStop: host.AutoRemove === true,
  };
}

function healthOf(status: string | undefined): Container['health'] {
  return status === 'healthy' || status === 'unhealthy' || status === 'starting' ? status : undefined;
}

function parseMount(raw: NonNullable<RawContainer['Mounts']>[number]): Mount {
  const type = raw.Type === 'volume' || raw.Type === 'bind' || raw.Type === 'tmpfs' ? raw.Type : 'other';
  return {
    type,
    source: (type === 'volume' ? raw.Name : raw.Source) ?? '',
    destination: raw.Destination ?? '',
    isReadOnly: raw.RW === false,
  };
}

function parseEnv(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf('=');
      return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 1)];
    }),
  );
}

type RawPorts = Record<string, { HostIp?: string; HostPort?: string }[] | null>;

function parsePorts(ports: RawPorts): PublishedPort[] {
  return Object.entries(ports).flatMap(([containerPort, bindings]) =>
    (bindings ?? []).map((binding) => ({
      containerPort,
      hostAddress: binding.HostIp ?? '',
      hostPort: Number(binding.HostPort),
    })),
  );
}

function parseAddresses(networks: Record<string, { IPAddress?: string } | null>): Record<string, string> {
  const known = Object.entries(networks).map(([name, network]) => [name, network?.IPAddress ?? ''] as const);
  return Object.fromEntries(known.filter(([, address]) => address !== ''));
}
