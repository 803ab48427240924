// One dump into a new database. The dump is read by ours on its way into pg_restore, so that afterwards every table can be
// asked whether it has as many rows as were sent.
import { PkbackupError } from '../../errors.ts';
import type { StoreContext } from '../store.ts';
import type { ArchivedFile } from './archived-files.ts';
import { type Cluster, majorOf, type Surroundings, userTables } from './cluster.ts';
import { createDatabase, databaseProperties, tablespacesOf } from './database-properties.ts';
import { type DumpCounts, DumpReader, type Toc } from './dump-format.ts';
import { whileThereIsRoom } from './room.ts';
import { type Command, type Server, toolsAt } from './server.ts';
import { conninfo, identifier, literal } from './sql.ts';

export interface RestoreDumpOptions {
  readonly server: Server;
  readonly cluster: Cluster;
  readonly surroundings: Surroundings;
  /** Version of pg_restore. */
  readonly tool: string;
  readonly admin: string;
  /** The name of the database to make. */
  readonly staged: string;
  /** How many the backup has, where it says so: a dump tells it only at its end. */
  readonly largeObjects: number | undefined;
  /** The name in the backup, for messages. */
  readonly original: string;
  readonly context: StoreContext;
}

export interface RestoredDump {
  readonly toc: Toc;
  readonly counts: DumpCounts;
  readonly oid: number;
  readonly tables: number;
}

/** Throws where the database is not all that the dump holds; what was made stays, for the caller to drop. */
export async function restoreDump(file: ArchivedFile, options: RestoreDumpOptions): Promise<RestoredDump> {
  const { server, staged, original, context } = options;
  const reader = new DumpReader(`the dump of database "${original}"`);
  const { head, toc } = await readToc(file, reader);
  refuseNewerTool(toc, options);
  refuseMissingExtensions(toc, options);
  const hasTablespaces = checkTablespaces(toc, options);
  await create(createDatabase(toc, staged, options.surroundings.tablespaces), options);
  const command = pgRestore(file, toc, hasTablespaces, options);
  await whileThereIsRoom(server, options.cluster.dataDirectory, (watched) =>
    watched.feed(command, rest(file, reader, head, context)),
  );
  const { counts } = reader.end();
  return { toc, counts, ...(await finish(toc, counts, options)) };
}

async function readToc(file: ArchivedFile, reader: DumpReader): Promise<{ head: Buffer[]; toc: Toc }> {
  const head: Buffer[] = [];
  while (!reader.toc) {
    const { value, done } = await file.data.next();
    if (done) return { head, toc: reader.end().toc };
    reader.read(value);
    head.push(value);
  }
  return { head, toc: reader.toc };
}

async function* rest(
  file: ArchivedFile,
  reader: DumpReader,
  head: readonly Buffer[],
  { emit, store }: StoreContext,
): AsyncGenerator<Buffer> {
  yield* head;
  for await (const chunk of file.data) {
    reader.read(chunk);
    emit({
      type: 'progress',
      store,
      phase: 'staging',
      doneBytes: reader.counts.bytes,
      totalBytes: file.size,
    });
    yield chunk;
  }
  reader.end();
}

/** One transaction where the server has locks enough for it: each table and large object takes one. */
function pgRestore(
  file: ArchivedFile,
  toc: Toc,
  hasTablespaces: boolean,
  options: RestoreDumpOptions,
): Command {
  const { server, cluster, staged } = options;
  const hasLargeObjects = toc.entries.some(({ type, hasData }) => hasData && type.startsWith('BLOB'));
  const objects = toc.entries.length + (hasLargeObjects ? (options.largeObjects ?? file.size) : 0);
  return [
    'pg_restore',
    '--exit-on-error',
    ...(objects < cluster.lockSlots / 2 ? ['--single-transaction'] : []),
    ...(hasTablespaces ? [] : ['--no-tablespaces']),
    '--no-password',
    `--username=${server.user}`,
    `--dbname=${conninfo(staged)}`,
  ];
}

function refuseNewerTool(toc: Toc, { server, tool, original }: RestoreDumpOptions): void {
  if (majorOf(toc.toolVersion) <= majorOf(tool)) return;
  throw new PkbackupError(
    'restore_failed',
    `the dump of database "${original}" was made by pg_dump ${toc.toolVersion}; pg_restore ${tool} ${toolsAt(server)} is older`,
    { hint: `restore into a server of version ${majorOf(toc.toolVersion)} or newer` },
  );
}

function refuseMissingExtensions(toc: Toc, { server, surroundings, original }: RestoreDumpOptions): void {
  const wanted = toc.entries.filter(({ type }) => type === 'EXTENSION').map(({ tag }) => tag);
  const missing = wanted.filter((name) => !surroundings.extensions.has(name)).map((name) => `"${name}"`);
  if (missing.length === 0) return;
  throw new PkbackupError(
    'restore_failed',
    `database "${original}" needs the ${missing.length === 1 ? 'extension' : 'extensions'} ${missing.join(', ')}, not available in ${server.where}${server.container ? ` (image "${server.container.image}")` : ''}`,
    {
      hint: 'use an image that has it, such as the one the backup was made of (pkbackup list --json shows it)',
    },
  );
}

function checkTablespaces(toc: Toc, { surroundings, context, original }: RestoreDumpOptions): boolean {
  const missing = tablespacesOf(toc).filter((name) => !surroundings.tablespaces.has(name));
  if (missing.length === 0) return true;
  const names = missing.map((name) => `"${name}"`).join(', ');
  const message = `tablespace ${names} is not there: all of database "${original}" goes to the default one`;
  context.emit({ type: 'warning', store: context.store, message });
  return false;
}

async function create(sql: string, { server, admin, original }: RestoreDumpOptions): Promise<void> {
  try {
    await server.execute(admin, sql);
  } catch (error) {
    if (!(error instanceof PkbackupError) || !/locale|collation|encoding/.test(error.message)) throw error;
    throw new PkbackupError(
      'restore_failed',
      `database "${original}" cannot be created as it was: ${error.message}`,
      {
        hint: 'the image has other locales than the one the backup was made of; use that one, or one of the same family (Debian, Alpine)',
        cause: error,
      },
    );
  }
}

/** One session for all that is left to do, because starting one takes longer than most of it. */
async function finish(toc: Toc, counts: DumpCounts, options: RestoreDumpOptions) {
  const { server, staged } = options;
  const tables = sentTables(toc, counts);
  const properties = databaseProperties(toc, staged);
  const lines = await server.script(
    staged,
    [
      ...tables.map(countRows),
      'SELECT count(*) FROM pg_largeobject_metadata;',
      'SELECT oid FROM pg_database WHERE datname = current_database();',
      `SELECT count(*) FROM ${userTables};`,
      properties === '' ? '' : `BEGIN;\n${properties}COMMIT;`,
      // The planner knows nothing of a restored table, and the first queries would be slow.
      'ANALYZE;\n',
    ].join('\n'),
  );
  const [largeObjects, oid, tableCount] = lines.slice(tables.length).map(Number);
  refuseDifferences(tables, lines, counts.largeObjects, largeObjects, options);
  return { oid: oid ?? 0, tables: tableCount ?? 0 };
}

interface SentTable {
  readonly schema: string;
  readonly name: string;
  readonly rows: number;
}

function sentTables(toc: Toc, { rows }: DumpCounts): SentTable[] {
  return toc.entries.flatMap(({ id, schema, tag }) => {
    const sent = rows.get(id);
    return sent === undefined ? [] : [{ schema, name: tag, rows: sent }];
  });
}

function countRows({ schema, name }: SentTable): string {
  const table = `${identifier(schema)}.${identifier(name)}`;
  return `SELECT count(*), EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass
    AND objid = ${literal(table)}::regclass AND deptype = 'e') FROM ONLY ${table};`;
}

/** Extensions fill tables of their own, so these may have more rows than were sent. */
function refuseDifferences(
  tables: readonly SentTable[],
  lines: readonly string[],
  sentObjects: number,
  largeObjects: number | undefined,
  { original }: RestoreDumpOptions,
): void {
  const wrong = tables.flatMap(({ schema, name, rows }, index) => {
    const [count, isOfExtension] = (lines[index] ?? '').split('|');
    const found = Number(count);
    const isGood = count !== undefined && (isOfExtension === 't' ? found >= rows : found === rows);
    return isGood ? [] : [`table "${schema}.${name}" has ${found} rows, the dump ${rows}`];
  });
  if (largeObjects !== sentObjects) {
    wrong.push(`it has ${largeObjects} large objects, the dump ${sentObjects}`);
  }
  if (wrong.length === 0) return;
  throw new PkbackupError(
    'restore_failed',
    `database "${original}" was not restored as it was: ${wrong.slice(0, 5).join('; ')}`,
  );
}
