// redis-cli in the container of the server: no port has to be open, and the version of the client fits. Where no password is
// configured, it is the one that the container's own settings give.
import { type Container, type Docker, isUp } from '../../docker/index.ts';
import { PkbackupError } from '../../errors.ts';
import { readSecret, Secret } from '../../secret.ts';
import type { StoreContext } from '../store.ts';
import type { Credentials, FalkordbServer } from './server.ts';

export interface ContainerServer extends FalkordbServer {
  readonly docker: Docker;
  readonly container: Container;
}

/** How the configuration says it is reached. */
export interface ContainerConnection extends Credentials {
  readonly container: string;
}

/** Throws where the container does not run: what is in memory only the server can give. */
export async function connectInContainer(
  connection: ContainerConnection,
  context: StoreContext,
): Promise<ContainerServer> {
  const docker = await context.docker();
  const { signal, environment } = context;
  const container = await docker.findContainer(connection.container, { signal });
  if (container.state !== 'running') {
    throw new PkbackupError(
      'unhealthy',
      `container "${container.name}" is not running (${container.state})`,
      {
        hint: isUp(container) ? `docker unpause ${container.name}` : `docker start ${container.name}`,
      },
    );
  }
  const { user, password_env: env, password_file: file } = connection;
  return {
    docker,
    container,
    where: `the server in container "${container.name}"`,
    itsLog: `docker logs ${container.name}`,
    noClient: () =>
      new PkbackupError('failed', `container "${container.name}" has no redis-cli`, {
        hint: 'is this the container of the FalkorDB server?',
      }),
    user,
    password: (await readSecret({ env, file }, environment)) ?? passwordOf(container),
    signal,
    run: (args, env, how) => docker.exec(container.id, { command: ['redis-cli', ...args], env, ...how }),
    converse: (args, env) => {
      return { name: 'redis-cli', docker, id: container.id, command: ['redis-cli', ...args], env, signal };
    },
  };
}

/** `REDIS_ARGS=--requirepass ...` is how the images are given one. */
function passwordOf({ env }: Container): Secret | undefined {
  if (env.REDISCLI_AUTH !== undefined) return undefined;
  const found = /(?:^|\s)--requirepass\s+(?:"([^"]+)"|'([^']+)'|(\S+))/.exec(env.REDIS_ARGS ?? '');
  const password = found?.[1] ?? found?.[2] ?? found?.[3];
  return password === undefined ? undefined : new Secret(password);
}
