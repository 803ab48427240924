// Volumes: found, made, removed. A volume is never named to the Engine without being looked at first, because a mount of
// a name that is not there makes an empty one.
import { PkbackupError } from '../errors.ts';
import { quoted } from './containers.ts';
import type { CallOptions } from './deadline.ts';
import type { Engine } from './engine.ts';
import { hasStatus } from './engine-errors.ts';
import { nearNames } from './near-names.ts';

export interface Volume {
  readonly name: string;
  readonly driver: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  /** Where it lies on the Docker host. */
  readonly mountpoint: string;
}

interface RawVolume {
  Name?: string;
  Driver?: string;
  Labels?: Record<string, string> | null;
  Options?: Record<string, string> | null;
  Mountpoint?: string;
}

export async function listVolumes(engine: Engine, options?: CallOptions): Promise<Volume[]> {
  const { json } = await engine.call({ method: 'GET', path: '/volumes', act: 'list volumes' }, options);
  const volumes = (json as { Volumes?: RawVolume[] | null } | undefined)?.Volumes ?? [];
  return volumes.map(parseVolume);
}

export async function volumeIfThere(
  engine: Engine,
  name: string,
  options?: CallOptions,
): Promise<Volume | undefined> {
  const act = `look at volume "${name}"`;
  try {
    const { json } = await engine.call(
      { method: 'GET', path: `/volumes/${encodeURIComponent(name)}`, act },
      options,
    );
    return parseVolume(json as RawVolume);
  } catch (error) {
    if (hasStatus(error, 404)) return undefined;
    throw error;
  }
}

/**
 * By its name, or by the name it has in the compose file (`chroma` for `stack_chroma`) where that is one volume alone.
 * Throws `not_found` with near names, or `ambiguous` with the candidates.
 */
export async function findVolume(engine: Engine, wanted: string, options?: CallOptions): Promise<Volume> {
  const exact = wanted === '' ? undefined : await volumeIfThere(engine, wanted, options);
  if (exact) return exact;
  const all = await listVolumes(engine, options);
  const candidates = all.filter((volume) => isComposeNameOf(volume, wanted));
  const [first, ...others] = candidates;
  if (first && others.length === 0) return first;
  const names = candidates.map((volume) => volume.name).toSorted();
  if (first) {
    throw new PkbackupError('ambiguous', `"${wanted}" may be one of several volumes: ${quoted(names)}`, {
      hint: 'name one of them in full',
    });
  }
  const near = nearNames(
    wanted,
    all.map((volume) => volume.name),
  );
  throw new PkbackupError('not_found', `volume "${wanted}" is not there`, {
    hint: near.length > 0 ? `did you mean ${quoted(near)}?` : 'see docker volume ls',
  });
}

function isComposeNameOf(volume: Volume, wanted: string): boolean {
  const label = volume.labels['com.docker.compose.volume'];
  return label === undefined ? wanted !== '' && volume.name.endsWith(`_${wanted}`) : label === wanted;
}

export async function createVolume(
  engine: Engine,
  volume: Pick<Volume, 'name'> & Partial<Volume>,
  options?: CallOptions,
): Promise<void> {
  const body = { Name: volume.name, Labels: volume.labels ?? {}, ...driverOf(volume) };
  await engine.call(
    { method: 'POST', path: '/volumes/create', body, act: `create volume "${volume.name}"` },
    options,
  );
}

function driverOf(volume: Partial<Volume>): object {
  return {
    ...(volume.driver ? { Driver: volume.driver } : {}),
    ...(volume.options ? { DriverOpts: volume.options } : {}),
  };
}

export async function removeVolume(engine: Engine, name: string, options?: CallOptions): Promise<void> {
  const request = {
    method: 'DELETE',
    path: `/volumes/${encodeURIComponent(name)}`,
    act: `remove volume "${name}"`,
  } as const;
  try {
    await engine.call(request, options);
  } catch (error) {
    if (!hasStatus(error, 404)) throw error;
  }
}

/**
 * How many bytes a volume holds, where Docker says it in time: it walks through every volume for that.
 */
export async function volumeBytes(
  engine: Engine,
  name: string,
  options: CallOptions = {},
): Promise<number | undefined> {
  const request = {
    method: 'GET',
    path: '/system/df',
    query: { type: 'volume' },
    act: 'measure volumes',
  } as const;
  try {
    const { json } = await engine.call(request, { deadlineMs: 5000, ...options });
    const volumes = (json as { Volumes?: (RawVolume & { UsageData?: { Size?: number } })[] }).Volumes ?? [];
    const size = volumes.find((volume) => volume.Name === name)?.UsageData?.Size;
    return size !== undefined && size >= 0 ? size : undefined;
  } catch (error) {
    if (options.signal?.aborted) throw error;
    return undefined;
  }
}

function parseVolume(raw: RawVolume): Volume {
  return {
    name: raw.Name ?? '',
    driver: raw.Driver ?? '',
    labels: raw.Labels ?? {},
    options: raw.Options ?? {},
    mountpoint: raw.Mountpoint ?? '',
  };
}
