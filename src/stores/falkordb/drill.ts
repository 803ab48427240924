// A drill of a FalkorDB: its server loads the dump in a throwaway volume, and is asked for its graphs.
import type { Container } from '../../docker/index.ts';
import { openDrillServer } from '../drill-server.ts';
import type { BackupFacts, DrillOptions, DrillPlace, StoreContext } from '../store.ts';
import { awaitServing } from './loaded.ts';
import { besideKey, type Wanted } from './restore-target.ts';
import { compareSamples } from './samples.ts';
import { countGraphs, type FalkordbServer, keysIn, listGraphs, readInfo } from './server.ts';

/** Before 4.10, and from then on: one and the same volume is at both. */
const dataPaths = ['/data', '/var/lib/falkordb/data'];
const port = 6379;

interface Configured {
  readonly data_path?: string | undefined;
}

export async function openFalkordbDrill(
  { data_path }: Configured = {},
  backup: BackupFacts,
  options: DrillOptions,
  context: StoreContext,
): Promise<DrillPlace<Wanted>> {
  const server = await openDrillServer(backup, options, context);
  const { volume } = server.throwaway;
  let running: FalkordbServer | undefined;
  return {
    target: { container: volume, [besideKey]: { to: `volume:${volume}` } },
    image: server.named,
    async serve() {
      const mountedAt = [...new Set([...(data_path === undefined ? [] : [data_path]), ...dataPaths])];
      await server.start({ mountedAt }, async (container: Container) => {
        running = await awaitServing({ container: container.id }, container, context);
      });
    },
    async check() {
      if (!running) return { findings: ['nothing was served'], counts: {}, asked: 0 };
      const databases = keysIn(await readInfo(running)).map(({ database }) => database);
      const counts = await countGraphs(
        running,
        await listGraphs(running),
        databases.length > 0 ? databases : [0],
      );
      return { ...(await compareSamples(running, backup.samples)), counts };
    },
    environment: () => server.environment(port),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
