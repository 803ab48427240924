// A program of its own: everything that opens an SQLite database happens here, beside pkbackup. A check of a gigabyte
// neither holds up the other stores nor Ctrl+C, because a process can be ended at any moment; a call in a thread cannot.
// sqlite-database.ts starts it, sends one request, and gets one answer.
import { createHash } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { backup, constants, DatabaseSync, type DatabaseSyncOptions } from 'node:sqlite';
import { setTimeout as wait } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { keywordOf, StatementCutter } from './sqlite-statements.ts';

export type Request =
  | { act: 'copy'; path: string; to: string; timeoutMs: number }
  | { act: 'inspect'; path: string; isLive: boolean; countsOnly: boolean }
  | { act: 'load'; path: string; to: string }
  | { act: 'tryExclusive'; path: string };

export interface Copied {
  /** Milliseconds since 1970; everything committed before is in the copy. */
  pinnedAtMs: number;
}

export interface Inspected {
  findings: string[];
  notChecked: string[];
  counts: Record<string, number>;
  /** Hashes of some rows of some tables; empty where only counts are asked for. */
  samples: { ask: string; answer: string }[];
}

export interface Answers {
  copy: Copied;
  inspect: Inspected;
  /** How many statements there were. */
  load: number;
  /** Whether nobody else has it open, as far as its locks tell. */
  tryExclusive: boolean;
}

/**
 * `isReady` comes first: it waits for its request. `isPinned` comes before the answer, possibly again: a copy that met a lock
 * begins anew.
 */
export type Message = { isReady: true } | { isPinned: true } | Answer;
export type Answer = { value: Answers[keyof Answers] } | { error: { message: string; code: number } };

/** SQLite's result codes (https://sqlite.org/rescode.html). */
export const sqliteCodes = {
  error: 1,
  busy: 5,
  corrupt: 11,
  full: 13,
  cannotOpen: 14,
  notADatabase: 26,
} as const;
const readOnlyRollback = 776;
const lockWaitMs = 1000;
/** Table names that would be taken for something else in the counts, and more tables than people want to read. */
const takenNames = ['tables', 'indexes', 'triggers', 'views', 'rows'];
const mostTablesCounted = 12;
const mostTablesSampled = 6;
const rowsSampled = 50;

process.on('disconnect', () => process.exit(1));
process.once('message', async (request: Request) => {
  const answer = await answerTo(request).then(
    (value): Answer => ({ value }),
    (error): Answer => ({ error: { message: messageOf(error), code: codeOf(error) } }),
  );
  process.send?.(answer, () => process.exit(0));
});
process.send?.({ isReady: true });

async function answerTo(request: Request): Promise<Answers[keyof Answers]> {
  if (request.act === 'copy') return copy(request.path, request.to, request.timeoutMs);
  if (request.act === 'load') return load(request.path, request.to);
  if (request.act === 'tryExclusive') return tryExclusive(request.path);
  return inspect(request.path, request.isLive, request.countsOnly);
}

/**
 * Copies with the online backup API, in one step: with more steps a writer makes it start again for ever
 * (measured: 33,633 steps and 19,326 new starts in 8 s). A writer in WAL mode goes on meanwhile.
 */
async function copy(path: string, to: string, timeoutMs: number): Promise<Copied> {
  const hadLog = hasFile(`${path}-wal`);
  const deadline = Date.now() + timeoutMs;
  let isReadOnly = true;
  for (;;) {
    try {
      const pinnedAtMs = await copyOnce(path, to, { readOnly: isReadOnly, timeout: lockWaitMs });
      if (!hadLog) removeEmptyLog(path);
      return { pinnedAtMs };
    } catch (error) {
      // A crashed writer's journal is there: whoever opens the database next has to roll it back.
      if (codeOf(error) === readOnlyRollback) isReadOnly = false;
      else if (!isBusy(error) || Date.now() >= deadline) throw error;
      else await wait(20);
    }
  }
}

/** The transaction is begun by hand, because the backup would not say when it has begun its own. */
async function copyOnce(path: string, to: string, options: DatabaseSyncOptions): Promise<number> {
  const source = new DatabaseSync(path, options);
  try {
    source.exec('BEGIN');
    const pinnedAtMs = Date.now();
    source.prepare('SELECT 1 FROM sqlite_schema').get();
    process.send?.({ isPinned: true } satisfies Message);
    await backup(source, to, { rate: 2_147_483_647 });
    return pinnedAtMs;
  } finally {
    source.close();
  }
}

/** Node gives a busy source the message "not an error" and the code 0 (nodejs/node#64892 is of the same family). */
function isBusy(error: unknown): boolean {
  const code = codeOf(error) & 0xff;
  return code === sqliteCodes.busy || (code === 0 && messageOf(error) === 'not an error');
}

/** A reader makes a log where there was none and may not remove it; a writer that closes does. */
function removeEmptyLog(path: string): void {
  if (!hasFile(`${path}-wal`)) return;
  try {
    const database = new DatabaseSync(path, { timeout: lockWaitMs });
    database.prepare('SELECT 1 FROM sqlite_schema').get();
    database.close();
  } catch {}
}

function tryExclusive(path: string): boolean {
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; ROLLBACK');
    return true;
  } catch (error) {
    if (isBusy(error)) return false;
    throw error;
  } finally {
    database.close();
  }
}

/** What `.dump` writes; nothing else is run, because the text is input. */
const dumpKeywords = [
  'PRAGMA',
  'BEGIN',
  'CREATE',
  'INSERT',
  'DELETE',
  'ANALYZE',
  'SAVEPOINT',
  'RELEASE',
  'COMMIT',
];
const dumpPragmas = ['foreign_keys', 'writable_schema'];

/** SQL text into a new database. */
async function load(path: string, to: string): Promise<number> {
  const database = new DatabaseSync(to);
  let count = 0;
  try {
    database.exec('PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF');
    // Virtual tables come into the schema by hand.
    database.enableDefensive(false);
    database.setAuthorizer(authorize);
    const cutter = new StatementCutter();
    const text = createReadStream(path, { encoding: 'utf8', highWaterMark: 1 << 18 });
    for await (const chunk of text) {
      for (const statement of cutter.cut(
        count === 0 ? String(chunk).replace(/^\uFEFF/, '') : String(chunk),
      )) {
        const keyword = keywordOf(statement);
        if (keyword === '' && /^[\s;]*$/.test(statement)) continue;
        if (!dumpKeywords.includes(keyword)) throw notOfDump(keyword);
        database.exec(statement);
        count += 1;
      }
    }
    if (!cutter.isEnded || database.isTransaction) throw cutShort();
  } finally {
    database.close();
  }
  return count;
}

function authorize(action: number, name: string | null): number {
  const isRefused =
    action === constants.SQLITE_ATTACH ||
    action === constants.SQLITE_DETACH ||
    (action === constants.SQLITE_PRAGMA && !dumpPragmas.includes(String(name).toLowerCase()));
  return isRefused ? constants.SQLITE_DENY : constants.SQLITE_OK;
}

const notOfDump = (keyword: string) =>
  new Error(`it holds a statement that .dump does not write: "${keyword}"`);
const cutShort = () => new Error('the SQL ends in the middle');

function inspect(path: string, isLive: boolean, countsOnly: boolean): Inspected {
  // A copy is nobody else's: so it needs no log and no locks, and nothing is made beside it.
  const place = isLive ? path : new URL(`${pathToFileURL(path)}?immutable=1`);
  const database = new DatabaseSync(place, { readOnly: true, timeout: 30_000 });
  const inspected: Inspected = { findings: [], notChecked: [], counts: {}, samples: [] };
  try {
    // What is in a database is input: its views and triggers do not get to call anything.
    database.exec('PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON');
    if (!isLive) inspected.findings.push(...cutPage(database, path));
    if (!countsOnly) checkIntegrity(database, inspected);
    count(database, inspected);
    if (!countsOnly) sample(database, inspected);
  } catch (error) {
    inspected.findings.push(messageOf(error));
  } finally {
    database.close();
  }
  return inspected;
}

/** SQLite takes what is missing of the last page for zeros, and calls the result sound. */
function cutPage(database: DatabaseSync, path: string): string[] {
  const pageBytes = Number(database.prepare('PRAGMA page_size').get()?.page_size ?? 1);
  const { size } = statSync(path);
  return size % pageBytes === 0
    ? []
    : [`it has ${size} bytes, which is no whole number of pages of ${pageBytes} bytes`];
}

/** Not `quick_check`, which says "ok" to rows that are missing from an index. */
function checkIntegrity(database: DatabaseSync, inspected: Inspected): void {
  for (const table of tablesOf(database, ['virtual'])) checkVirtual(database, table, inspected);
  try {
    inspected.findings.push(...integrityOf(database));
    return;
  } catch (error) {
    if (!isUnverifiable(error)) throw error;
  }
  for (const table of tablesOf(database, ['table', 'shadow', 'virtual'])) {
    try {
      inspected.findings.push(...integrityOf(database, table));
    } catch (error) {
      if (!isUnverifiable(error)) throw error;
      inspected.notChecked.push(`table "${table}": ${messageOf(error)}`);
    }
  }
}

function checkVirtual(database: DatabaseSync, table: string, inspected: Inspected): void {
  try {
    database.prepare(`SELECT 1 FROM ${quoted(table)} LIMIT 0`).all();
  } catch (error) {
    if (!isUnverifiable(error)) throw error;
    inspected.notChecked.push(`table "${table}": ${messageOf(error)}`);
  }
}

const linesShown = 3;

function integrityOf(database: DatabaseSync, table?: string): string[] {
  const pragma = table === undefined ? 'PRAGMA integrity_check' : `PRAGMA integrity_check(${quoted(table)})`;
  // One row may have several lines: a heading, and then one for each of a hundred pages.
  const lines = database
    .prepare(pragma)
    .all()
    .flatMap((row) => String(row.integrity_check).split('\n'))
    .filter((line) => line !== 'ok' && line !== '' && !line.startsWith('*** in database'));
  const more = lines.length - linesShown;
  return more <= 0 ? lines : [...lines.slice(0, linesShown), `${more} more of that kind`];
}

/** It needs a collation, function or module that its application brings with it. */
function isUnverifiable(error: unknown): boolean {
  return /^no such (collation sequence|module|function)|^unknown (tokenizer|function)/.test(messageOf(error));
}

function count(database: DatabaseSync, { counts }: Inspected): void {
  const ofType = database.prepare(
    "SELECT count(*) AS n FROM sqlite_schema WHERE type = ? AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
  );
  const tables = tablesOf(database, ['table']);
  counts.tables = tables.length + tablesOf(database, ['virtual']).length;
  for (const [type, name] of [
    ['index', 'indexes'],
    ['trigger', 'triggers'],
    ['view', 'views'],
  ] as const) {
    const found = Number(ofType.get(type)?.n ?? 0);
    if (found > 0) counts[name] = found;
  }
  let rows = 0;
  const rowsOf = new Map<string, number>();
  for (const table of tables) {
    const found = Number(database.prepare(`SELECT count(*) AS n FROM ${quoted(table)}`).get()?.n ?? 0);
    rows += found;
    if (/^[A-Za-z]\w{0,40}$/.test(table) && !takenNames.includes(table)) rowsOf.set(table, found);
  }
  counts.rows = rows;
  if (rowsOf.size <= mostTablesCounted) Object.assign(counts, Object.fromEntries(rowsOf));
}

/** The first and the last rows, by row id: that takes no time, however large the table is. */
function sample(database: DatabaseSync, { samples }: Inspected): void {
  for (const table of tablesOf(database, ['table']).slice(0, mostTablesSampled)) {
    for (const [which, order] of [
      ['first', 'ASC'],
      ['last', 'DESC'],
    ] as const) {
      const answer = hashOfRows(
        database,
        `SELECT * FROM ${quoted(table)} ORDER BY rowid ${order} LIMIT ${rowsSampled}`,
      );
      if (answer !== undefined)
        samples.push({ ask: `the ${which} ${rowsSampled} rows of table "${table}"`, answer });
    }
  }
}

/** Undefined for a table without row ids. */
function hashOfRows(database: DatabaseSync, sql: string): string | undefined {
  const hash = createHash('sha256');
  try {
    const statement = database.prepare(sql);
    statement.setReadBigInts(true);
    statement.setReturnArrays(true);
    for (const row of statement.iterate() as Iterable<unknown>) {
      for (const value of row as unknown[]) {
        const bytes = value instanceof Uint8Array ? value : Buffer.from(String(value));
        hash.update(`${value instanceof Uint8Array ? 'blob' : typeof value} ${bytes.length} `).update(bytes);
      }
      hash.update('\n');
    }
  } catch (error) {
    if (/no such column: rowid/.test(messageOf(error))) return undefined;
    throw error;
  }
  return hash.digest('hex').slice(0, 16);
}

function tablesOf(database: DatabaseSync, types: readonly string[]): string[] {
  return database
    .prepare("SELECT name, type FROM pragma_table_list WHERE schema = 'main' ORDER BY name")
    .all()
    .filter((row) => types.includes(String(row.type)) && !String(row.name).startsWith('sqlite_'))
    .map((row) => String(row.name));
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function hasFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function codeOf(error: unknown): number {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
    ? error.errcode
    : -1;
}
