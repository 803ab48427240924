// A drill of a backup that was taken through the API: an empty server from an image that is named, written to by the very
// restore. It is reached at its address in the drill's network, which only an Engine on this machine has.
import { messageOf, PkbackupError } from '../../errors.ts';
import { defaultPort, waitForServer } from '../chromadb-server.ts';
import { openDrillServer } from '../drill-server.ts';
import type { BackupFacts, DrillOptions, DrillPlace, StoreContext } from '../store.ts';
import type { ChromaApi } from './api.ts';
import { placeIn } from './export-format.ts';
import { openApiAt, type RemoteTarget } from './remote.ts';
import { countsOf, ownOf } from './restore.ts';

export interface DrillServerSettings {
  readonly mountedAt: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export async function openRemoteDrill(
  { mountedAt, env }: DrillServerSettings,
  backup: BackupFacts,
  options: DrillOptions,
  context: StoreContext,
): Promise<DrillPlace<RemoteTarget>> {
  const server = await openDrillServer(backup, options, context);
  const { docker } = server;
  try {
    await server.start({ mountedAt, env }, (container) =>
      waitForServer({ docker, container, signal: context.signal }),
    );
    const environment = server.environment(defaultPort);
    const target = { url: `http://${environment.HOST}:${environment.PORT}` };
    const api = await reach(target, context);
    return {
      target,
      image: server.named,
      serve: async () => undefined,
      // The restore has read everything back already.
      check: async () => ({ findings: [], counts: await countAll(api, backup), asked: 0 }),
      environment: () => environment,
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

async function reach(target: RemoteTarget, context: StoreContext): Promise<ChromaApi> {
  try {
    return await openApiAt(target, context);
  } catch (error) {
    context.signal.throwIfAborted();
    throw new PkbackupError('not_found', `the server of the drill is not reached: ${messageOf(error)}`, {
      hint: 'a backup that was taken through the API can be drilled where Docker runs on this very machine (not Docker Desktop)',
      cause: error,
    });
  }
}

async function countAll(api: ChromaApi, { databases = [] }: BackupFacts) {
  const collections = [];
  for (const key of databases) {
    const place = placeIn(key);
    if (place) collections.push(...(await ownOf(api, place)));
  }
  return countsOf(api, collections);
}
