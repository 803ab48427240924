// PostgreSQL: hot. Every database as a custom-format dump, all pinned at one moment, and the roles; restored into new
// databases beside the present ones, checked there, and put into place by renaming in one transaction. What is asked of
// the server goes through the tools in its own container. docs/stores/postgres.md tells it for people.
import { z } from 'zod';
import { type Container, composeProject, composeService } from '../docker/index.ts';
import { PkbackupError } from '../errors.ts';
import type { Counts } from '../words.ts';
import { addressKeys, checkAddress } from './address-keys.ts';
import { describeVolume } from './mounted-data.ts';
import { checkContent } from './postgres/check-content.ts';
import {
  type Cluster,
  type Database,
  isOwn,
  lookAtCluster,
  lookAtContents,
  majorOf,
  toolVersion,
} from './postgres/cluster.ts';
import { addContents, noCounts } from './postgres/counts.ts';
import { openPostgresDrill } from './postgres/drill.ts';
import { dumpDatabases } from './postgres/dump-databases.ts';
import { planDatabasesRestore, resumeDatabasesRestore } from './postgres/plan-restore.ts';
import type { Beside } from './postgres/restore-databases.ts';
import { openServer, type Server, toolsAt } from './postgres/server.ts';
import type { Source, Store, StoreContext } from './store.ts';

const schema = z
  .strictObject({
    ...addressKeys,
    /** A superuser; POSTGRES_USER of the container, or `postgres`, where it is missing. */
    user: z.string().min(1).optional(),
    password_env: z.string().min(1).optional(),
    password_file: z.string().min(1).optional(),
    /** To connect to for what concerns all databases; `postgres` or `template1` where it is missing. */
    database: z.string().min(1).optional(),
    /** Only these; all where it is missing. */
    databases: z.array(z.string().min(1)).min(1).optional(),
  })
  .superRefine(checkAddress);

/** Of `--to`; no setting, so that it passes by schema and journal: what it led to is in the state of the restore. */
const besideKey = Symbol('beside');

type Target = z.infer<typeof schema> & { readonly [besideKey]?: Beside };

export const postgres: Store<Target> = {
  kind: 'postgres',
  schema,
  quiesce: { default: 'none', allowed: ['none'], graceSeconds: 120 },
  restoresByServer: true,
  pinsWhenTold: true,

  recognise(container) {
    const isServer = 'PGDATA' in container.env || 'PG_MAJOR' in container.env;
    const listens = container.exposedPorts.includes('5432/tcp');
    return isServer && listens ? { container: container.name } : undefined;
  },

  async look(target, context) {
    const server = await openServer(target, context);
    const cluster = await lookAtCluster(server, adminOf(target, server));
    refuseNoSuperuser(cluster, server);
    await refuseOldTool(cluster, server);
    if (server.container) warnOfDataDirectory(cluster, server.container, context);
    const { databases, counts, bytes, storedBytes, isEmpty } = await survey(server, cluster, target, context);
    return {
      source: await sourceOf(server, cluster, context),
      version: cluster.version,
      counts,
      databases,
      estimatedBytes: bytes,
      storedBytes,
      volumes: [],
      isEmpty,
    };
  },

  async snapshot(target, look, context) {
    const server = await openServer(target, context);
    const { admin } = await lookAtCluster(server, adminOf(target, server));
    const databases = (look.databases ?? []).map((name) => ({ name, present: name }));
    return dumpDatabases(server, databases, admin, context);
  },

  retarget(target, to) {
    const container = /^container:(.+)$/s.exec(to)?.[1];
    if (container !== undefined) return { ...inContainer(target), container, [besideKey]: {} };
    if (target === undefined) {
      throw new PkbackupError('usage', `"${to}" does not say in which server: the store is not configured`, {
        hint: 'add the store to pkbackup.yaml, or restore all of it into another server with --to container:NAME',
      });
    }
    const [, original, name] = /^([^=]+)=(.+)$/s.exec(to) ?? [];
    return { ...target, [besideKey]: original && name ? { original, name } : { name: to } };
  },

  inProject: 'container',

  async planRestore(target, backup, options, context) {
    const server = await openServer(target, context);
    const cluster = await lookAtCluster(server, adminOf(target, server));
    refuseNoSuperuser(cluster, server);
    const wanted = { databases: target.databases, beside: target[besideKey] };
    return planDatabasesRestore({ server, cluster, target: wanted, backup, context, beside: options.beside });
  },

  async resumeRestore(target, state, backup, context) {
    const server = await openServer(target, context);
    const cluster = await lookAtCluster(server, adminOf(target, server));
    return resumeDatabasesRestore({ server, cluster, target: {}, backup, context }, state);
  },

  openDrill: (_target, backup, options, context) =>
    openPostgresDrill((server) => ({ ...server, [besideKey]: {} }), backup, options, context),

  check: (content, backup, context) => checkContent(content, backup, context),
};

const adminOf = ({ database }: Target, { address }: Server): string | undefined =>
  database ?? address?.database;

/** What says how a server outside of Docker is reached says nothing of one inside. */
function inContainer(target: Target | undefined): Target {
  const { host, port, url_env, tools, ...rest } = target ?? {};
  return host === undefined && url_env === undefined ? rest : { databases: rest.databases };
}

interface Survey {
  readonly databases: string[];
  readonly counts: Counts;
  readonly bytes: number;
  /** With indexes. */
  readonly storedBytes: number;
  readonly isEmpty: boolean;
}

/** `postgres` is there in every cluster; it is saved when somebody has put something into it, or asks for it. */
async function survey(
  server: Server,
  cluster: Cluster,
  target: Target,
  context: StoreContext,
): Promise<Survey> {
  const databases: string[] = [];
  const counts = noCounts();
  let bytes = 0;
  let storedBytes = 0;
  let isEmpty = true;
  for (const { name, bytes: stored } of chooseDatabases(cluster, target, context)) {
    const contents = await lookAtContents(server, name);
    if (name === 'postgres' && contents.isEmpty && !target.databases) continue;
    databases.push(name);
    addContents(counts, contents);
    bytes += contents.bytes;
    storedBytes += stored ?? 0;
    isEmpty &&= contents.isEmpty;
  }
  return { databases, counts, bytes, storedBytes, isEmpty };
}

function chooseDatabases(cluster: Cluster, target: Target, { emit, store }: StoreContext): Database[] {
  const warn = (message: string, hint?: string) =>
    emit({ type: 'warning', store, message, ...(hint ? { hint } : {}) });
  const wanted = target.databases;
  for (const name of wanted ?? []) {
    if (cluster.databases.some((one) => one.name === name)) continue;
    const names = cluster.databases.map((one) => `"${one.name}"`).join(', ');
    throw new PkbackupError('not_found', `there is no database "${name}"`, { hint: `there are ${names}` });
  }
  return cluster.databases.filter((database) => {
    if (wanted ? !wanted.includes(database.name) : database.isTemplate) return false;
    if (isOwn(database)) {
      warn(`database "${database.name}" is left over from a restore that was cut off, and is not saved`);
      return false;
    }
    if (database.canConnect) return true;
    if (wanted) throw new PkbackupError('failed', `database "${database.name}" allows no connections`);
    warn(`database "${database.name}" allows no connections, and is not saved`);
    return false;
  });
}

function refuseNoSuperuser({ isSuperuser }: Cluster, { user, where, container }: Server): void {
  if (isSuperuser) return;
  throw new PkbackupError(
    'config',
    `user "${user}" is no superuser in ${where}, so it can neither save nor restore the roles`,
    {
      hint: container
        ? 'set user of this store in pkbackup.yaml to the one that POSTGRES_USER named when the data was made'
        : 'set user of this store in pkbackup.yaml, or the user of its URL, to a superuser',
    },
  );
}

/** pg_dump refuses a newer server itself, but only when it is run. */
async function refuseOldTool(cluster: Cluster, server: Server): Promise<void> {
  const tool = await toolVersion(server, 'pg_dump');
  if (majorOf(tool) >= majorOf(cluster.version)) return;
  throw new PkbackupError(
    'failed',
    `pg_dump ${tool} ${toolsAt(server)} is older than its server, PostgreSQL ${cluster.version}`,
    {
      hint: server.container
        ? 'put the tools of the server into the container, before any others in PATH'
        : `install the client programs of PostgreSQL ${majorOf(cluster.version)} or newer, and say their directory with tools where others come first on the PATH`,
    },
  );
}

/** Such data is lost with the container, backup or not. */
function warnOfDataDirectory({ dataDirectory }: Cluster, container: Container, context: StoreContext): void {
  if (dataDirectory === null || mountAt(container, dataDirectory)) return;
  context.emit({
    type: 'warning',
    store: context.store,
    message: `data directory "${dataDirectory}" of container "${container.name}" is not on a mount: the data goes when the container goes`,
    hint: 'mount a volume there (PostgreSQL 18 images: at /var/lib/postgresql)',
  });
}

function mountAt({ mounts }: Container, path: string): Container['mounts'][number] | undefined {
  return mounts.find(
    ({ destination }) => path === destination || path.startsWith(`${destination.replace(/\/$/, '')}/`),
  );
}

async function sourceOf(
  { container, address, signal }: Server,
  cluster: Cluster,
  context: StoreContext,
): Promise<Source> {
  if (!container) return { url: `postgresql://${address?.name ?? ''}` };
  const docker = await context.docker();
  const mount = cluster.dataDirectory === null ? undefined : mountAt(container, cluster.dataDirectory);
  const digest = (await docker.image(container.imageId, { signal }))?.digests[0];
  const project = composeProject(container);
  const service = composeService(container);
  return {
    container: container.name,
    image: container.image,
    ...(digest === undefined ? {} : { image_digest: digest }),
    ...(mount?.type === 'volume' ? await describeVolume(docker, mount.source, signal) : {}),
    ...(project === undefined ? {} : { compose_project: project }),
    ...(service === undefined ? {} : { compose_service: service }),
  };
}
