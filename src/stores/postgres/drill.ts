// A drill of a PostgreSQL: an empty server from the image of the backup, into which all of it is restored, roles too.
import type { Container, Docker } from '../../docker/index.ts';
import { openDrillServer } from '../drill-server.ts';
import type { BackupFacts, DrillOptions, DrillPlace, StoreContext } from '../store.ts';
import { compareSamples } from './samples.ts';
import { openServer } from './server.ts';

/** Where every version of the image lets its data lie: nobody has a volume of its own there. */
const mountedAt = '/var/lib/pkbackup-drill';
const user = 'postgres';
const port = 5432;
const startDeadlineMs = 180_000;

/** Nobody reaches it, so it asks nobody for a password. */
const environment = {
  PGDATA: `${mountedAt}/data`,
  POSTGRES_USER: user,
  POSTGRES_DB: 'postgres',
  POSTGRES_HOST_AUTH_METHOD: 'trust',
  POSTGRES_INITDB_ARGS: '--no-sync',
};

export async function openPostgresDrill<Target>(
  targetIn: (server: { container: string; user: string }) => Target,
  backup: BackupFacts,
  options: DrillOptions,
  context: StoreContext,
): Promise<DrillPlace<Target>> {
  const server = await openDrillServer(backup, options, context);
  const { docker } = server;
  try {
    const { id } = await server.start({ mountedAt: [mountedAt], env: environment }, (container) =>
      untilReady(docker, container, context.signal),
    );
    return {
      target: targetIn({ container: id, user }),
      image: server.named,
      serve: async () => undefined,
      async check() {
        const running = await openServer({ container: id, user }, context);
        return { ...(await compareSamples(running, backup.samples)), counts: {} };
      },
      environment: () => ({ ...server.environment(port), USER: user }),
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

/** By TCP: the server that only runs the init scripts does not listen there. */
async function untilReady(docker: Docker, { id }: Container, signal: AbortSignal): Promise<void> {
  const command = ['pg_isready', '--quiet', '--host=127.0.0.1', `--username=${user}`] as const;
  await docker.waitUntilHealthy(id, {
    signal,
    deadlineMs: startDeadlineMs,
    probe: async () => (await docker.exec(id, { command: [...command], signal })).exitCode === 0,
  });
}
