// A drill of a Neo4j: its server on a throwaway volume, asked for its databases. The users of the backup come back with it, and
// nobody knows their passwords here: so the server of the drill, which nobody else reaches, asks for none.
import { openDrillServer } from '../drill-server.ts';
import type { BackupFacts, DrillOptions, DrillPlace, StoreContext } from '../store.ts';
import type { Neo4jTarget } from './data.ts';
import { refuseOlderServer } from './restore.ts';
import { compareSamples, sampleStatements } from './samples.ts';
import {
  askDatabases,
  countStatements,
  countsIn,
  type Database,
  type Neo4jServer,
  toolsInContainer,
  waitUntilOnline,
} from './server.ts';

const mountedAt = '/data';
const port = 7687;
/** It may have to replay the log of a server that was killed. */
const startDeadlineMs = 1_200_000;

/** Settings that every release of 5 knows: an unknown one keeps a server from starting. */
const environment = {
  NEO4J_AUTH: 'none',
  NEO4J_dbms_security_auth__enabled: 'false',
  NEO4J_server_directories_data: mountedAt,
  // 256 MB of zeros for each database, which a throwaway server will never fill.
  NEO4J_db_tx__log_preallocate: 'false',
};

export async function openNeo4jDrill(
  _target: Neo4jTarget | undefined,
  backup: BackupFacts,
  options: DrillOptions,
  context: StoreContext,
): Promise<DrillPlace<Neo4jTarget>> {
  const server = await openDrillServer(backup, options, context);
  const { docker, throwaway, image } = server;
  const { signal } = context;
  let running: { server: Neo4jServer; databases: readonly Database[] } | undefined;
  return {
    target: { volume: throwaway.volume, image: image.id },
    image: server.named,
    async serve() {
      if (server.named.isOther) await refuseOlderServer(docker, image.id, backup, signal);
      await server.start({ mountedAt: [mountedAt], env: environment }, async (container) => {
        const asked = { tools: toolsInContainer(docker, container), credentials: [], signal };
        const { databases } = await waitUntilOnline(asked, startDeadlineMs);
        running = { server: asked, databases };
      });
    },
    async check() {
      if (!running) return { findings: ['nothing was served'], counts: {}, asked: 0 };
      const { databases } = running;
      const answers = await askDatabases(running.server, databases, [
        ...countStatements,
        ...sampleStatements,
      ]);
      const compared = compareSamples(backup.samples, answers);
      return {
        findings: [...missingIn(databases, backup), ...compared.findings],
        counts: countsIn(answers),
        asked: compared.asked,
      };
    },
    environment: () => server.environment(port),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

function missingIn(present: readonly Database[], { databases = [] }: BackupFacts): string[] {
  const names = present.map(({ name }) => name);
  return databases
    .filter((name) => !names.includes(name))
    .map((name) => `the server does not know the database "${name}"`);
}
