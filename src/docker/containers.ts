// Containers: found, looked at, paused, stopped, started.
import { messageOf, PkbackupError } from '../errors.ts';
import { type Container, drillLabel, isHelper, parseContainer } from './container.ts';
import type { CallOptions } from './deadline.ts';
import type { Engine } from './engine.ts';
import { hasStatus } from './engine-errors.ts';
import { nearNames } from './near-names.ts';

const pathOf = (id: string, verb: string) => `/containers/${encodeURIComponent(id)}/${verb}`;

/** What the list says by itself. Only this can be asked of a container that is locked by its archive endpoint. */
export interface Summary {
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly isRunning: boolean;
  /** It ran once, and has ended. */
  readonly hasEnded: boolean;
  /** Volume names and host paths that it mounts. */
  readonly sources: readonly string[];
}

interface RawSummary {
  Id?: string;
  Names?: string[] | null;
  Labels?: Record<string, string> | null;
  State?: string;
  Mounts?: { Type?: string; Name?: string; Source?: string }[] | null;
}

/** All containers, in every state, helpers included. */
export async function summarise(engine: Engine, options?: CallOptions): Promise<Summary[]> {
  const act = 'list containers';
  const request = { method: 'GET', path: '/containers/json', query: { all: 1 }, act } as const;
  const { json } = await engine.call(request, options);
  if (!Array.isArray(json)) throw new PkbackupError('failed', `${act}: Docker answered without a list`);
  return json.map((item) => {
    const { Id = '', Names, Labels, State, Mounts } = item as RawSummary;
    return {
      id: Id,
      name: (Names?.[0] ?? Id).replace(/^\//, ''),
      labels: Labels ?? {},
      isRunning: State === 'running',
      hasEnded: State === 'exited' || State === 'dead',
      sources: (Mounts ?? []).map(({ Type, Name, Source }) => (Type === 'volume' ? Name : Source) ?? ''),
    };
  });
}

/** All containers, also stopped ones, without the helpers of pkbackup. */
export async function listContainers(engine: Engine, options?: CallOptions): Promise<Container[]> {
  return inspectAll(engine, await summarise(engine, options), options);
}

/** Helpers are never looked at: those of another run may be locked for as long as it reads. */
async function inspectAll(
  engine: Engine,
  summaries: readonly Summary[],
  options: CallOptions | undefined,
): Promise<Container[]> {
  const wanted = summaries.filter((summary) => !isHelper(summary));
  const found = await Promise.all(wanted.map(({ id }) => inspectIfThere(engine, id, options)));
  return found.filter((container) => container !== undefined);
}

/** A container by id or name; undefined where it is not there (any more). */
export async function inspectIfThere(
  engine: Engine,
  id: string,
  options?: CallOptions,
): Promise<Container | undefined> {
  const act = `look at container "${id.slice(0, 64)}"`;
  try {
    const { json } = await engine.call({ method: 'GET', path: pathOf(id, 'json'), act }, options);
    return parseContainer(json, act);
  } catch (error) {
    if (hasStatus(error, 404)) return undefined;
    throw error;
  }
}

/** By name, id or compose service; throws `not_found` with near names, or `ambiguous` with the candidates. */
export async function findContainer(
  engine: Engine,
  wanted: string,
  options?: CallOptions,
): Promise<Container> {
  const exact = await inspectIfThere(engine, wanted, options);
  if (exact && (!isHelper(exact) || isOwnServer(exact, wanted))) return exact;
  const all = (await summarise(engine, options)).filter((summary) => !isHelper(summary));
  const sameService = all.filter(({ labels }) => labels['com.docker.compose.service'] === wanted);
  const [first, ...others] = await inspectAll(engine, sameService, options);
  if (first && others.length === 0) return first;
  const names = sameService.map(({ name }) => name);
  if (first) {
    throw new PkbackupError('ambiguous', `"${wanted}" may be one of several containers: ${quoted(names)}`, {
      hint: 'name one of them',
    });
  }
  const near = nearNames(
    wanted,
    all.map(({ name }) => name),
  );
  throw new PkbackupError('not_found', `container "${wanted}" is not there`, {
    hint: near.length > 0 ? `did you mean ${quoted(near)}?` : 'see docker ps -a',
  });
}

/** The server of a drill is a helper to everybody but the drill, which knows its id. */
function isOwnServer({ id, labels }: Container, wanted: string): boolean {
  return id === wanted && labels[drillLabel] !== undefined;
}

/** Every container that mounts the volume (or the host path, for bind mounts), whatever its state; found by mount, not by name. */
export async function containersOfVolume(
  engine: Engine,
  volume: string,
  options?: CallOptions,
): Promise<Container[]> {
  const all = await summarise(engine, options);
  const users = all.filter(({ sources }) => sources.some((source) => isOn(source, volume)));
  return inspectAll(engine, users, options);
}

/** A bind mount of a directory above or below shares the data. */
function isOn(source: string, volume: string): boolean {
  if (source === volume) return true;
  if (!volume.startsWith('/') || !source.startsWith('/')) return false;
  return (
    source.startsWith(`${volume.replace(/\/$/, '')}/`) || volume.startsWith(`${source.replace(/\/$/, '')}/`)
  );
}

/** Does nothing where it runs already (304). */
export async function startContainer(engine: Engine, container: Named, options?: CallOptions): Promise<void> {
  await act(engine, container, 'start', {}, options);
}

/**
 * Stops it and gives the exit code; 137 means that it was killed because the grace period was over (or was killed
 * before). The signal is not for the stop itself: it goes on in the Engine, so who gives up early does not know what it
 * leaves behind.
 */
export async function stopContainer(
  engine: Engine,
  container: Named,
  graceSeconds: number,
  options: CallOptions = {},
): Promise<number> {
  const deadlineMs = options.deadlineMs ?? (graceSeconds + 30) * 1000;
  await act(engine, container, 'stop', { t: graceSeconds }, { deadlineMs });
  const after = await inspectIfThere(engine, container.id, options);
  if (!after) throw new PkbackupError('failed', `stop container "${container.name}": it is gone`);
  return after.exitCode;
}

/** A busy machine with a busy server in it takes several times the second or so that the runtime gives the kernel. */
const usualFreezeMs = 15_000;

export interface PauseOptions extends CallOptions {
  /** For so long a freeze that did not come about is tried again. */
  readonly freezeMs?: number;
}

/** The kernel does not always freeze a busy process in the time that the runtime gives it; then nothing is paused. */
export async function pauseContainer(
  engine: Engine,
  container: Named,
  { freezeMs = usualFreezeMs, ...options }: PauseOptions = {},
): Promise<void> {
  for (const giveUpMs = performance.now() + freezeMs; ; ) {
    try {
      await act(engine, container, 'pause', undefined, options);
      return;
    } catch (error) {
      if (performance.now() > giveUpMs || !/unable to freeze/.test(messageOf(error))) throw error;
    }
  }
}

export async function unpauseContainer(
  engine: Engine,
  container: Named,
  options?: CallOptions,
): Promise<void> {
  await act(engine, container, 'unpause', undefined, options);
}

/** Removes a helper with its anonymous volumes, whatever it does at the moment unless `spares`. Named volumes stay. */
export async function removeContainer(
  engine: Engine,
  container: Named,
  options?: RemoveOptions,
): Promise<void> {
  const what = `remove container "${container.name}"`;
  const path = `/containers/${encodeURIComponent(container.id)}`;
  try {
    const query = { force: options?.spares ? 0 : 1, v: options?.keepsVolumes ? 0 : 1 };
    await engine.call({ method: 'DELETE', path, query, act: what }, options);
  } catch (error) {
    // 409: another removal of it is under way, or it runs and is spared.
    if (!hasStatus(error, 404, 409)) throw error;
  }
}

export async function renameContainer(
  engine: Engine,
  container: Named,
  name: string,
  options?: CallOptions,
): Promise<void> {
  const request = { method: 'POST', path: pathOf(container.id, 'rename'), query: { name } } as const;
  await engine.call({ ...request, act: `rename container "${container.name}" to "${name}"` }, options);
}

export interface RemoveOptions extends CallOptions {
  /** One that runs is left alone; also one that is started in that moment. */
  readonly spares?: boolean;
  /** Those without a name stay too. */
  readonly keepsVolumes?: boolean;
}

export type Named = Pick<Container, 'id' | 'name'>;

type Verb = 'start' | 'stop' | 'pause' | 'unpause';

async function act(
  engine: Engine,
  container: Named,
  verb: Verb,
  query: object | undefined,
  options?: CallOptions,
) {
  const what = `${verb} container "${container.name}"`;
  const request = { method: 'POST', path: pathOf(container.id, verb), act: what, accept: [304] } as const;
  await engine.call(query ? { ...request, query: query as Record<string, number> } : request, options);
}

export const quoted = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(', ');
