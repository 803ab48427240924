// After a restore: the server is asked what it has loaded. Clients may write as soon as it is up, so the number of keys
// loaded decides, and graphs are compared only as long as nobody has written.
import { type Container, isUp, sleep, throwIfAborted } from '../../docker/index.ts';
import { PkbackupError } from '../../errors.ts';
import type { Counts } from '../../words.ts';
import type { StoreContext } from '../store.ts';
import { countsOf } from './dump.ts';
import { type ContainerConnection, connectInContainer } from './in-container.ts';
import type { RdbFacts } from './rdb.ts';
import { countGraphs, type FalkordbServer, type Info, keysIn, listGraphs, readInfo } from './server.ts';

const loadDeadlineMs = 30 * 60_000;
const startsAllowed = 2;

/** `before` is the container as it was before the restore; one that did not run then does not run now. */
export async function awaitLoaded(
  connection: ContainerConnection,
  before: Container,
  dump: RdbFacts | undefined,
  recorded: Counts,
  context: StoreContext,
): Promise<Counts> {
  const server = await untilLoaded(connection, before, context);
  if (!server) return (dump && countsOf(dump)) ?? recorded;
  return compareLoaded(server, dump, recorded, context);
}

/** Of a server that has loaded what it found. */
export async function compareLoaded(
  server: FalkordbServer,
  dump: RdbFacts | undefined,
  recorded: Counts,
  context: StoreContext,
): Promise<Counts> {
  const expected = (dump && countsOf(dump)) ?? recorded;
  const info = await readInfo(server);
  refuseOtherKeys(info, dump);
  const databases = keysIn(info).map(({ database }) => database);
  const counts = await countGraphs(server, await listGraphs(server), databases.length > 0 ? databases : [0]);
  const different = Object.entries(counts).filter(([what, found]) => (expected[what] ?? found) !== found);
  if (different.length === 0) return { ...expected, ...counts };
  const said = different.map(([what, found]) => `${found} ${what}, expected ${expected[what]}`).join('; ');
  const isWritten = (await readInfo(server)).get('rdb_changes_since_last_save') !== '0';
  if (!isWritten) throw new PkbackupError('restore_failed', `the server has ${said}`);
  const message = `clients have written since the server is up: it has ${said}`;
  context.emit({ type: 'step', store: context.store, message });
  return { ...expected, ...counts };
}

/** For a server that was just started; throws `unhealthy` where it does not load what it finds. */
export async function awaitServing(
  connection: ContainerConnection,
  container: Container,
  context: StoreContext,
): Promise<FalkordbServer> {
  const server = await untilLoaded(connection, container, context);
  if (server) return server;
  throw cannotLoad(container);
}

async function untilLoaded(
  connection: ContainerConnection,
  before: Container,
  context: StoreContext,
): Promise<FalkordbServer | undefined> {
  const docker = await context.docker();
  const { signal, emit, store } = context;
  const giveUpAt = performance.now() + loadDeadlineMs;
  const starts = new Set<string>();
  for (let waitMs = 50; ; waitMs = Math.min(1000, waitMs * 1.5)) {
    const now = await docker.container(before.id, { signal });
    if (!now) throw new PkbackupError('unhealthy', `container "${before.name}" is gone`);
    if (!isUp(now) && !isUp(before)) {
      const message = `container "${before.name}" was not running, so nothing has loaded the restored data yet`;
      emit({ type: 'warning', store, message, hint: `docker start ${before.name}` });
      return undefined;
    }
    starts.add(now.startedAt);
    if (!isUp(now) || starts.size > startsAllowed) throw cannotLoad(now);
    const server = await ifLoaded(() => connectInContainer(connection, context), context);
    if (server) return server;
    if (performance.now() > giveUpAt) throw cannotLoad(now);
    await sleep(waitMs, signal);
  }
}

/** Undefined where it does not answer yet, or still loads. */
export async function ifLoaded<Server extends FalkordbServer>(
  connecting: () => Promise<Server>,
  { signal }: Pick<StoreContext, 'signal'>,
): Promise<Server | undefined> {
  try {
    const server = await connecting();
    return (await readInfo(server)).get('loading') === '0' ? server : undefined;
  } catch (error) {
    throwIfAborted(signal);
    if (error instanceof PkbackupError && error.code === 'config') throw error;
    return undefined;
  }
}

function refuseOtherKeys(info: Info, dump: RdbFacts | undefined): void {
  if (!dump || dump.unknown !== undefined) return;
  const loaded =
    Number(info.get('rdb_last_load_keys_loaded')) + Number(info.get('rdb_last_load_keys_expired'));
  if (Number.isNaN(loaded) || loaded === dump.keys) return;
  throw new PkbackupError('restore_failed', `the server has loaded ${loaded} keys, expected ${dump.keys}`);
}

function cannotLoad({ name, state, exitCode }: Container): PkbackupError {
  const how = state === 'exited' ? `it ended with exit code ${exitCode}` : `it is ${state}`;
  return new PkbackupError('unhealthy', `container "${name}" does not load the restored data: ${how}`, {
    hint: `see docker logs ${name}`,
  });
}
