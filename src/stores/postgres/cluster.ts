// What is in a cluster: its databases, and what each holds. Read only.
import { z } from 'zod';
import { messageOf, PkbackupError } from '../../errors.ts';
import { type Server, toolsAt } from './server.ts';

const clusterSchema = z.object({
  version: z.string(),
  isSuperuser: z.boolean(),
  dataDirectory: z.string().nullable(),
  /** Locks that fit into shared memory: one transaction may not touch more tables and large objects. */
  lockSlots: z.number(),
  databases: z.array(
    z.object({
      oid: z.number(),
      name: z.string(),
      canConnect: z.boolean(),
      isTemplate: z.boolean(),
      bytes: z.number().nullable(),
    }),
  ),
});

export type Cluster = z.infer<typeof clusterSchema> & {
  /** The database for what concerns all of them. */
  readonly admin: string;
};
export type Database = Cluster['databases'][number];

const contentsSchema = z.object({
  isEmpty: z.boolean(),
  tables: z.number(),
  rows: z.number(),
  largeObjects: z.number(),
  extensions: z.array(z.string()),
  bytes: z.number(),
});

/** What one database holds; `rows` are the estimates of the last ANALYZE. */
export type Contents = z.infer<typeof contentsSchema>;

const clusterSql = `
  WITH me AS (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
  SELECT json_build_object(
    'version', current_setting('server_version'),
    'isSuperuser', (SELECT rolsuper FROM me),
    'dataDirectory', CASE WHEN (SELECT rolsuper FROM me) THEN current_setting('data_directory') END,
    'lockSlots', current_setting('max_locks_per_transaction')::bigint
      * (current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint),
    'databases', (SELECT json_agg(json_build_object(
        'oid', oid::bigint, 'name', datname, 'isTemplate', datistemplate,
        'canConnect', datallowconn AND datconnlimit <> -2,
        'bytes', CASE WHEN datallowconn AND datconnlimit <> -2 THEN pg_database_size(oid) END
      ) ORDER BY datname COLLATE "C") FROM pg_database))`;

/** Ordinary and partitioned tables that pg_dump makes entries for; those of extensions come with the extension. */
export const userTables = `pg_class c WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
  AND c.relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_' OR nspname = 'information_schema')
  AND NOT EXISTS (SELECT FROM pg_depend d
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e')`;

const contentsSql = `
  SELECT json_build_object(
    'isEmpty', NOT EXISTS (SELECT FROM pg_class WHERE oid >= 16384 AND relpersistence <> 't')
      AND NOT EXISTS (SELECT FROM pg_proc WHERE oid >= 16384)
      AND NOT EXISTS (SELECT FROM pg_type WHERE oid >= 16384)
      AND NOT EXISTS (SELECT FROM pg_namespace WHERE oid >= 16384 AND nspname !~ '^pg_')
      AND NOT EXISTS (SELECT FROM pg_extension WHERE oid >= 16384)
      AND NOT EXISTS (SELECT FROM pg_largeobject_metadata),
    'tables', (SELECT count(*) FROM ${userTables}),
    'rows', (SELECT coalesce(sum(greatest(reltuples, 0)), 0)::bigint FROM ${userTables} AND c.relkind = 'r'),
    'largeObjects', (SELECT count(*) FROM pg_largeobject_metadata),
    'extensions', (SELECT coalesce(json_agg(extname ORDER BY extname), '[]') FROM pg_extension WHERE extname <> 'plpgsql'),
    'bytes', (SELECT coalesce(sum(pg_table_size(c.oid)), 0)::bigint FROM ${userTables} AND c.relkind = 'r')
      + pg_table_size('pg_largeobject'))`;

/** `admin` is the database to ask; `postgres` and then `template1` where it is missing. */
export async function lookAtCluster(server: Server, admin: string | undefined): Promise<Cluster> {
  const names = admin === undefined ? ['postgres', 'template1'] : [admin];
  let first: unknown;
  for (const name of names) {
    try {
      const text = await server.value(name, clusterSql);
      return { ...clusterSchema.parse(JSON.parse(text)), admin: name };
    } catch (error) {
      if (server.signal.aborted) throw error;
      first ??= error;
    }
  }
  throw first;
}

export async function lookAtContents(server: Server, database: string): Promise<Contents> {
  return contentsSchema.parse(JSON.parse(await server.value(database, contentsSql)));
}

const surroundingsSchema = z.object({
  roles: z.array(z.string()),
  extensions: z.array(z.string()),
  tablespaces: z.array(z.string()),
});

/** Names of what a database needs from outside of it. */
export interface Surroundings {
  readonly roles: ReadonlySet<string>;
  /** Those that could be created. */
  readonly extensions: ReadonlySet<string>;
  readonly tablespaces: ReadonlySet<string>;
}

const surroundingsSql = `
  SELECT json_build_object(
    'roles', (SELECT json_agg(rolname) FROM pg_roles),
    'extensions', (SELECT coalesce(json_agg(name), '[]') FROM pg_available_extensions),
    'tablespaces', (SELECT json_agg(spcname) FROM pg_tablespace))`;

export async function lookAtSurroundings(server: Server, admin: string): Promise<Surroundings> {
  const found = surroundingsSchema.parse(JSON.parse(await server.value(admin, surroundingsSql)));
  return {
    roles: new Set(found.roles),
    extensions: new Set(found.extensions),
    tablespaces: new Set(found.tablespaces),
  };
}

/** What a restore makes beside, and leaves where it was killed. */
const ownName = /\.pkbackup-(staged|previous)-[0-9a-f]{8}-\d+$/;
export const isOwn = ({ name }: { name: string }): boolean => ownName.test(name);

const longestNameBytes = 63;

/** Whether the restore `id` made it. */
export const isMadeBy = (name: string, what: 'staged' | 'previous', id: string): boolean =>
  isOwn({ name }) && name.includes(`.pkbackup-${what}-${id}-`);

export function ownNameFor(name: string, what: 'staged' | 'previous', id: string, index: number): string {
  const end = `.pkbackup-${what}-${id}-${index}`;
  const bytes = Buffer.from(name).subarray(0, longestNameBytes - end.length);
  // A character that was cut in two becomes U+FFFD, which may be longer than what was left of it.
  return `${bytes.toString('utf8').replace(/\uFFFD+$/, '')}${end}`;
}

export const majorOf = (version: string): number => Number.parseInt(version, 10);

/** What `pg_dump --version` says: `17.11`. */
export async function toolVersion(server: Server, tool: 'pg_dump' | 'pg_restore'): Promise<string> {
  const { exitCode, stdout, stderr } = await server.run([tool, '--version']);
  const version = /\)\s+(\d+\S*)/.exec(stdout.toString('utf8'))?.[1];
  if (exitCode === 0 && version !== undefined) return version;
  throw new PkbackupError(
    'failed',
    `there is no ${tool} ${toolsAt(server)}: ${messageOf(stdout.toString('utf8').trim() || stderr.trim())}`,
    { hint: hintForTools(server) },
  );
}

export const hintForTools = ({ container }: Server): string =>
  container
    ? 'name the container that runs the PostgreSQL server itself'
    : 'install the client programs of PostgreSQL, and say their directory with tools where they are not on the PATH';

/** Waits for nothing: those who still run after it are seen by the next statement that minds them. */
export async function endSessions(server: Server, admin: string, where: string): Promise<void> {
  await server.execute(
    admin,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND ${where}`,
  );
}
