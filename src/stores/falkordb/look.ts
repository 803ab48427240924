// What a server that runs says of itself, wherever it runs.
import { throwIfAborted } from '../../docker/index.ts';
import { messageOf, PkbackupError } from '../../errors.ts';
import type { Counts } from '../../words.ts';
import type { Look, RestorePlan, StoreContext } from '../store.ts';
import {
  countGraphs,
  type DataFiles,
  type FalkordbServer,
  type Info,
  keysIn,
  listGraphs,
  readDataFiles,
  readInfo,
  readVersions,
  type Versions,
} from './server.ts';
import { textOf } from './versions.ts';

export interface Asked {
  readonly files: DataFiles;
  readonly usedBytes: number;
  readonly said: Pick<Look, 'counts' | 'isEmpty'> & { version: string; databases: string[] };
}

/** Throws `unhealthy` where it is not ready. */
export async function askServer(server: FalkordbServer, context: StoreContext): Promise<Asked> {
  const info = await readInfo(server);
  refuseLoading(server, info);
  const versions = await readVersions(server, info);
  const files = await readDataFiles(server);
  const graphs = await listGraphs(server);
  return {
    files,
    usedBytes: Number(info.get('used_memory') ?? 0),
    said: {
      version: textOf(versions),
      counts: await countOrWarn(server, graphs, info, context),
      databases: graphs,
      isEmpty: keysIn(info).every(({ keys }) => keys === 0),
    },
  };
}

function refuseLoading({ where }: FalkordbServer, info: Info): void {
  if (info.get('loading') === '0') return;
  throw new PkbackupError('unhealthy', `${where} is still loading its data`, {
    hint: 'try again when it is ready',
  });
}

/** Writers may go on, so these numbers are for people; those of the metadata are counted on the copy. */
async function countOrWarn(
  server: FalkordbServer,
  graphs: readonly string[],
  info: Info,
  { emit, store, signal }: StoreContext,
): Promise<Counts> {
  try {
    const databases = keysIn(info).map(({ database }) => database);
    return await countGraphs(server, graphs, databases.length > 0 ? databases : [0]);
  } catch (error) {
    throwIfAborted(signal);
    emit({ type: 'warning', store, message: `the graphs could not be counted: ${messageOf(error)}` });
    return { graphs: graphs.length };
  }
}

/** For the plan of a restore. The counts are for people: where they cannot be had, there are none. */
export async function presentUse(
  server: FalkordbServer,
  clients: number,
): Promise<Pick<RestorePlan, 'presentCounts' | 'usedBy'>> {
  const databases = keysIn(await readInfo(server)).map(({ database }) => database);
  const counts = await listGraphs(server)
    .then((graphs) => countGraphs(server, graphs, databases.length > 0 ? databases : [0]))
    .catch(() => undefined);
  throwIfAborted(server.signal);
  return {
    ...(counts && { presentCounts: counts }),
    ...(clients > 0 ? { usedBy: [`${clients} ${clients === 1 ? 'connection' : 'connections'}`] } : {}),
  };
}

export interface Present<Server extends FalkordbServer> {
  readonly server: Server;
  readonly files: DataFiles;
  readonly versions: Versions;
  readonly keys: number;
  /** Connections beside ours. */
  readonly clients: number;
}

/** Undefined where it still loads, or where connecting fails with what is `absent`; anything else is an error. */
export async function askPresent<Server extends FalkordbServer>(
  connecting: () => Promise<Server>,
  absent: (error: PkbackupError) => boolean,
  { signal }: StoreContext,
): Promise<Present<Server> | undefined> {
  try {
    const server = await connecting();
    const info = await readInfo(server);
    if (info.get('loading') !== '0') return undefined;
    return {
      server,
      files: await readDataFiles(server),
      versions: await readVersions(server, info),
      keys: keysIn(info).reduce((sum, database) => sum + database.keys, 0),
      clients: Math.max(0, Number(info.get('connected_clients') ?? 1) - 1),
    };
  } catch (error) {
    throwIfAborted(signal);
    if (error instanceof PkbackupError && !absent(error)) throw error;
    return undefined;
  }
}
