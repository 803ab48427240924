// PostgreSQL against real servers: what can go wrong on the way out and on the way in. The round trip under a live writer
// is in conformance.docker.test.ts, a million rows are in test/slow/postgres.test.ts.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { encodeEntry, endOfArchive, padding } from '../../src/archive/tar-format.ts';
import { scanTar } from '../../src/archive/tar-scan.ts';
import type { PkbackupError } from '../../src/errors.ts';
import type { Event } from '../../src/events.ts';
import { backup } from '../../src/operations/backup.ts';
import { restore } from '../../src/operations/restore.ts';
import { verify } from '../../src/operations/verify.ts';
import { postgres } from '../../src/stores/postgres.ts';
import type { BackupFacts, Content, StoreContext } from '../../src/stores/store.ts';
import { requireTestbed } from '../../testbed/index.ts';
import { bytesOf, docker, helpersLeft, piecesOf } from '../docker/bed.ts';
import { makeRun } from '../operations/run-fixture.ts';
import type { ServerContainer } from './fixtures/containers.ts';
import {
  ask,
  clientOf,
  environment,
  fingerprintOf,
  putFile,
  run as runSql,
  startPostgres,
  target,
} from './fixtures/postgres-server.ts';

type Target = Parameters<typeof postgres.look>[0];

const weird = `we"ird'; \\ näme/..%`;
const scratch = mkdtempSync(join(tmpdir(), 'pkbackup-postgres-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

let main: ServerContainer;
let other: ServerContainer;

beforeAll(async () => {
  await requireTestbed('postgres', 'postgres15');
  [main, other] = await Promise.all([startPostgres(), startPostgres()]);
  await fill(main.id);
});

/** Two databases with most of what pg_dump treats in its own way. */
async function fill(id: string): Promise<void> {
  await runSql(id, [
    `CREATE ROLE bob LOGIN PASSWORD 'secret of bob'`,
    `CREATE ROLE "Odd ""one" NOLOGIN`,
    `GRANT bob TO "Odd ""one"`,
    `ALTER ROLE bob SET search_path = public`,
    `CREATE EXTENSION vector`,
    `CREATE TABLE items (id int PRIMARY KEY, v vector(3), s text)`,
    `INSERT INTO items SELECT g, array[g, g, g]::vector, 'text ' || g FROM generate_series(1, 500) g`,
    `CREATE INDEX ON items USING hnsw (v vector_l2_ops)`,
    `CREATE TABLE by_day (day int, n int) PARTITION BY LIST (day)`,
    `CREATE TABLE day_1 PARTITION OF by_day FOR VALUES IN (1)`,
    `INSERT INTO by_day VALUES (1, 7)`,
    `CREATE UNLOGGED TABLE "Empty Table" (a int)`,
    `CREATE MATERIALIZED VIEW sums AS SELECT count(*) AS n FROM items`,
    `ALTER TABLE items OWNER TO bob`,
    `SELECT lo_from_bytea(4711, 'a large object')`,
    `ALTER DATABASE app SET work_mem = '8MB'`,
    `ALTER ROLE bob IN DATABASE app SET work_mem = '9MB'`,
    `COMMENT ON DATABASE app IS 'it''s'`,
    `REVOKE CONNECT ON DATABASE app FROM public`,
    `GRANT CONNECT ON DATABASE app TO bob`,
    `ALTER DATABASE app CONNECTION LIMIT 90`,
    `CREATE DATABASE ${quoted(weird)} OWNER bob TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'`,
  ]);
  await runSql(id, [`CREATE TABLE t (a int)`, `INSERT INTO t VALUES (1), (2)`], weird);
}

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;
const databasesOf = async (id: string) =>
  (await ask(id, 'SELECT datname FROM pg_database', 'template1')).toSorted();
const standard = ['app', 'postgres', 'template0', 'template1'];
const sessionsOf = (id: string) =>
  ask(
    id,
    `SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'pkbackup-%'`,
    'postgres',
  );

/** Sessions that were told to end take a moment. */
const expectNoSessions = (id: string) => vi.waitFor(async () => expect(await sessionsOf(id)).toEqual([]));

function makeContext(more: Partial<StoreContext> = {}) {
  const events: Event[] = [];
  const stop = new AbortController();
  const context: StoreContext = {
    store: 'rows',
    emit: (event) => events.push(event),
    signal: stop.signal,
    docker,
    scratchDir: scratch,
    environment,
    ...more,
  };
  return { context, events, stop };
}

interface Made {
  readonly content: Content;
  readonly facts: BackupFacts;
  readonly notes: readonly string[];
}

const contentOf = (tar: Buffer): Content => ({ tar: () => piecesOf(tar) });

async function makeBackup(
  from: Target,
  context = makeContext().context,
  meanwhile?: () => Promise<void>,
): Promise<Made> {
  const look = await postgres.look(from, context);
  const snapshot = await postgres.snapshot(from, look, context);
  try {
    await meanwhile?.();
    const tar = await bytesOf(snapshot.tar);
    const facts: BackupFacts = {
      kind: 'postgres',
      store: 'rows',
      source: look.source,
      counts: { ...snapshot.counts },
      databases: look.databases ?? [],
      ...(look.version === undefined ? {} : { storeVersion: look.version }),
      rawSizeBytes: tar.length,
    };
    return { content: contentOf(tar), facts, notes: snapshot.notes?.() ?? [] };
  } finally {
    await snapshot.dispose?.();
  }
}

/** With `change` made to the bytes of a file. */
async function changed(
  { content, facts }: Made,
  name: string,
  change: (bytes: Buffer) => Buffer,
): Promise<Made> {
  const files = new Map<string, Buffer[]>();
  let current: Buffer[] = [];
  for await (const piece of scanTar(content.tar())) {
    if (piece.type === 'data') {
      current.push(Buffer.from(piece.bytes));
      continue;
    }
    current = [];
    files.set(piece.entry.path.toString(), current);
  }
  const parts = [...files].flatMap(([file, data]) => {
    const bytes = file === name ? change(Buffer.concat(data)) : Buffer.concat(data);
    const size = bytes.length;
    const entry = {
      path: Buffer.from(file),
      type: 'file',
      size,
      mode: 0o600,
      uid: 0,
      gid: 0,
      mtime: 0,
    } as const;
    return [encodeEntry(entry), bytes, padding(size)];
  });
  return { content: contentOf(Buffer.concat([...parts, endOfArchive])), facts, notes: [] };
}

async function restoreAll(
  { content, facts }: Made,
  to: Target,
  options = { beside: false },
  context = makeContext().context,
) {
  const restoration = await postgres.planRestore(to, facts, options, context);
  try {
    await restoration.stage(content);
    await restoration.swap();
    const counts = await restoration.check();
    await restoration.discard();
    return { counts, plan: restoration.plan };
  } catch (error) {
    await restoration.rollback();
    throw error;
  }
}

const elsewhere = (server: ServerContainer): Target =>
  postgres.retarget(target(server), `container:${server.name}`);
const errorOf = async (promise: Promise<unknown>): Promise<PkbackupError> =>
  promise.then(
    () => expect.fail('it was taken'),
    (error) => error,
  );

/** Only what a new server of the test bed has. */
async function clear(id: string): Promise<void> {
  for (const name of await databasesOf(id)) {
    if (!standard.includes(name))
      await runSql(id, [`DROP DATABASE ${quoted(name)} WITH (FORCE)`], 'postgres');
  }
  await runSql(id, [`DROP DATABASE IF EXISTS app WITH (FORCE)`, `CREATE DATABASE app`], 'postgres');
  await runSql(id, [`DROP ROLE IF EXISTS bob`, `DROP ROLE IF EXISTS "Odd ""one"`]);
}

describe('another server', () => {
  test('gets databases of any name with all they are, and the roles that it lacks', async () => {
    await clear(other.id);
    await runSql(other.id, [`CREATE ROLE bob LOGIN PASSWORD 'another password'`]);
    const passwordOf = (id: string) => ask(id, `SELECT rolpassword FROM pg_authid WHERE rolname = 'bob'`);
    const before = await passwordOf(other.id);
    const made = await makeBackup(target(main));
    expect(made.facts).toMatchObject({
      databases: ['app', weird],
      counts: { databases: 2, tables: 5, rows: 503, large_objects: 1, extensions: 1 },
    });
    const { counts } = await restoreAll(made, elsewhere(other), { beside: true });

    expect(counts).toEqual(made.facts.counts);
    for (const name of ['app', weird]) {
      expect(await fingerprintOf(other.id, name)).toBe(await fingerprintOf(main.id, name));
    }
    expect(await passwordOf(other.id)).toEqual(before);
    expect(
      await ask(
        other.id,
        `SELECT roleid::regrole FROM pg_auth_members WHERE member::regrole::text LIKE '%Odd%'`,
      ),
    ).toEqual(['bob']);
    expect(await databasesOf(other.id)).toEqual([...standard, weird].toSorted());
    await expectNoSessions(other.id);
  });

  test('gets the password of a role that it lacks as it was', async () => {
    await clear(other.id);
    await restoreAll(await makeBackup({ ...target(main), databases: [weird] }), elsewhere(other), {
      beside: true,
    });
    const sql = `SELECT rolpassword FROM pg_authid WHERE rolname = 'bob'`;
    expect(await ask(other.id, sql)).toEqual(await ask(main.id, sql));
  });

  test('is not touched where an extension is missing in it', async () => {
    await clear(other.id);
    const made = await makeBackup(target(main));
    const exec = async (command: string[]) =>
      (await docker()).exec(other.id, { command: command as [string], user: '0:0' });
    const control = '/usr/share/postgresql/17/extension/vector.control';
    await exec(['mv', control, `${control}.away`]);
    try {
      const error = await errorOf(restoreAll(made, elsewhere(other), { beside: true }));
      expect(error.message).toMatch(
        /database "app" needs the extension "vector", not available in container/,
      );
      expect(error.hint).toMatch(/image/);
      expect(await databasesOf(other.id)).toEqual(standard);
      expect(await ask(other.id, `SELECT rolname FROM pg_roles WHERE rolname = 'bob'`)).toEqual([]);
    } finally {
      await exec(['mv', `${control}.away`, control]);
    }
  });

  test('is refused where a database of that name holds something, and taken where it is empty', async () => {
    await clear(other.id);
    const made = await makeBackup({ ...target(main), databases: ['app'] });
    await runSql(other.id, ['CREATE TABLE mine (a int)']);
    const error = await errorOf(restoreAll(made, elsewhere(other), { beside: true }));
    expect(error.message).toMatch(/database "app" is there already/);
    expect(await ask(other.id, 'SELECT count(*) FROM mine')).toEqual(['0']);
  });
});

describe('versions', () => {
  test('a backup of 17 is refused by a server of 15 with both versions; one of 15 goes into 17', async () => {
    const old = await startPostgres({ image: 'pkbackup-test/postgres:15' });
    await runSql(old.id, [
      'CREATE TABLE t (a int)',
      'INSERT INTO t VALUES (1), (2), (3)',
      "SELECT lo_from_bytea(1, 'x')",
    ]);
    const made = await makeBackup(target(old));
    expect(made.facts.counts).toMatchObject({ rows: 3, large_objects: 1 });
    await clear(other.id);
    await restoreAll(made, elsewhere(other), { beside: true });
    expect(await ask(other.id, 'SELECT count(*) FROM t')).toEqual(['3']);

    const young = await makeBackup({ ...target(main), databases: [weird] });
    const error = await errorOf(restoreAll(young, elsewhere(old), { beside: true }));
    expect(error.message).toMatch(/backup is of PostgreSQL 17\.\d+.*pg_restore 15\.\d+/);
    await runSql(old.id, ['CREATE ROLE bob', 'CREATE ROLE "Odd ""one"']);
    const { storeVersion: _, ...unknown } = young.facts;
    const later = await errorOf(restoreAll({ ...young, facts: unknown }, elsewhere(old), { beside: true }));
    expect(later.message).toMatch(/made by pg_dump 17\.\d+.*pg_restore 15\.\d+/);
    expect(await databasesOf(old.id)).toEqual(standard);
  });

  test('a pg_dump older than its server is refused with both versions', async () => {
    await putFile(other.id, '/usr/local/bin', 'pg_dump', '#!/bin/sh\necho "pg_dump (PostgreSQL) 15.18"\n');
    try {
      const error = await errorOf(postgres.look(target(other), makeContext().context));
      expect(error.message).toMatch(
        /pg_dump 15\.18 in container .* is older than its server, PostgreSQL 17\.\d+/,
      );
    } finally {
      await (await docker()).exec(other.id, { command: ['rm', '/usr/local/bin/pg_dump'], user: '0:0' });
    }
  });
});

describe('a backup', () => {
  test('has a table that was rewritten after the pin as it is now, never empty', async () => {
    const { context, events } = makeContext();
    const from = { ...target(main), databases: [weird] };
    const made = await makeBackup(from, context, () =>
      runSql(main.id, ['BEGIN', 'TRUNCATE t', 'INSERT INTO t VALUES (1), (2), (3)', 'COMMIT'], weird),
    );
    expect(made.facts.counts).toMatchObject({ rows: 3 });
    const steps = events.flatMap((event) => (event.type === 'step' ? [event.message] : []));
    expect(steps.join('\n')).toMatch(/pinning database .* again: "t" was rewritten or dropped/);
    await expectNoSessions(main.id);
  });

  test('reads a dump on while something else is asked: an exec with unread output lets no other one end', async () => {
    const real = await docker();
    const ended = Promise.withResolvers<void>();
    async function* waiting(stdin: AsyncIterable<Buffer>) {
      for await (const chunk of stdin) {
        // The look at the pin while the dump is read.
        if (chunk.includes('pg_relation_filenode')) await ended.promise;
        yield chunk;
      }
    }
    const slow = async () => ({
      ...real,
      async *execStream(id: string, options: Parameters<typeof real.execStream>[1]) {
        const { stdin } = options;
        yield* real.execStream(id, stdin ? { ...options, stdin: waiting(stdin) } : options);
        if (options.command[0] === 'pg_dump') ended.resolve();
      },
    });
    const made = await makeBackup(
      { ...target(main), databases: ['app'] },
      makeContext({ docker: slow }).context,
    );
    expect(made.facts.counts).toMatchObject({ databases: 1 });
  }, 60_000);

  test('has every database as it was at one moment, though they are dumped one after another', async () => {
    await clear(other.id);
    await runSql(other.id, ['CREATE DATABASE zoo', 'CREATE TABLE t (a int)']);
    await runSql(other.id, ['CREATE TABLE t (a int)'], 'zoo');
    const made = await makeBackup(target(other), makeContext().context, async () => {
      await runSql(other.id, ['INSERT INTO t VALUES (1)']);
      await runSql(other.id, ['INSERT INTO t VALUES (1)'], 'zoo');
    });
    expect(made.facts.counts).toMatchObject({ databases: 2, rows: 0 });
  });

  test('fails, and leaves nothing, where pg_dump is ended half-way', async () => {
    await clear(other.id);
    await runSql(other.id, [
      `CREATE TABLE big AS SELECT g, repeat(md5(g::text), 20) AS s FROM generate_series(1, 150000) g`,
    ]);
    using fixture = makeRun();
    const run = { ...fixture.run, environment: { ...process.env, ...environment } };
    const killed = vi.waitFor(
      async () => {
        const ended = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY public.big%'`;
        expect(await ask(other.id, ended, 'postgres')).toEqual(['t']);
      },
      { timeout: 30_000, interval: 10 },
    );
    const store = { name: 'rows', kind: 'postgres' as const, target: target(other) };
    const { stores } = await backup(run, { stores: [store] });
    await killed;
    expect(stores[0]).toMatchObject({ ok: false });
    if (stores[0]?.ok === false) expect(stores[0].error.message).toMatch(/pg_dump.*exit code 1.*terminat/s);
    const { backups, leftovers } = await run.repository.list();
    expect({ backups, leftovers }).toEqual({ backups: [], leftovers: [] });
    await expectNoSessions(other.id);
  });

  test('says which databases it leaves out, and which are left from a restore', async () => {
    await clear(other.id);
    const own = 'app.pkbackup-previous-0123abcd-0';
    await runSql(other.id, [
      'CREATE TABLE t (a int)',
      'CREATE DATABASE closed ALLOW_CONNECTIONS false',
      `CREATE DATABASE "${own}"`,
    ]);
    const { context, events } = makeContext();
    const look = await postgres.look(target(other), context);
    expect(look.databases).toEqual(['app']);
    const warnings = events.flatMap((event) => (event.type === 'warning' ? [event.message] : []));
    expect(warnings).toEqual([
      expect.stringMatching(`database "${own}" is left over`),
      expect.stringMatching('database "closed" allows no connections'),
    ]);
  });

  test('is refused to somebody who may not read the roles', async () => {
    await clear(other.id);
    await runSql(other.id, [`CREATE ROLE bob LOGIN PASSWORD 'secret of bob'`]);
    const context = makeContext({ environment: { P: 'secret of bob' } }).context;
    const error = await errorOf(
      postgres.look({ container: other.name, user: 'bob', password_env: 'P' }, context),
    );
    expect(error).toMatchObject({
      code: 'config',
      message: expect.stringMatching(/user "bob" is no superuser/),
    });
  });
});

describe('a restore', () => {
  test('replaces tables that an init script has already made, and can be taken back', async () => {
    const sql = `CREATE TABLE items (id int PRIMARY KEY, s text); INSERT INTO items VALUES (1, 'from init');
      CREATE VIEW v AS SELECT * FROM items; ALTER DATABASE app SET work_mem = '7MB';`;
    const fresh = await startPostgres({ initFiles: { 'schema.sql': sql } });
    const init = await fingerprintOf(fresh.id, 'app');
    using fixture = makeRun();
    const run = { ...fixture.run, environment: { ...process.env, ...environment } };
    const from = { name: 'rows', kind: 'postgres' as const, target: { ...target(main), databases: ['app'] } };
    const into = { ...from, target: target(fresh) };
    await backup(run, { stores: [from] });
    const options = { stores: [into], safetyBackup: true, confirm: async () => true };
    const { safetyBackup } = await restore(run, { ...options, backup: 'rows@latest' });
    expect(await fingerprintOf(fresh.id, 'app')).toBe(await fingerprintOf(main.id, 'app'));
    expect(await databasesOf(fresh.id)).toEqual(standard);

    expect(safetyBackup?.metadata.counts).toMatchObject({ databases: 1, tables: 1, rows: 1 });
    const { ok } = await verify(run, { backups: ['rows@pre-restore'], level: 'content' });
    expect(ok).toBe(true);
    await restore(run, { ...options, backup: 'rows@pre-restore' });
    expect(await fingerprintOf(fresh.id, 'app')).toBe(init);
    expect(await databasesOf(fresh.id)).toEqual(standard);
    expect(await helpersLeft()).toEqual([]);
  });

  test('swaps under clients that come back at once, and keeps them out for a moment only', async () => {
    await clear(other.id);
    await runSql(other.id, ['CREATE TABLE t (a int)', 'INSERT INTO t VALUES (1)']);
    const made = await makeBackup(target(other));
    await runSql(other.id, ['INSERT INTO t VALUES (2)']);
    let isDone = false;
    let longestMs = 0;
    const seen = new Set<string>();
    const clients = Array.from({ length: 4 }, async () => {
      let goodAt = performance.now();
      while (!isDone) {
        try {
          using client = await clientOf(other.id);
          while (!isDone) {
            seen.add(await client.value('SELECT count(*) FROM t'));
            longestMs = Math.max(longestMs, performance.now() - goodAt);
            goodAt = performance.now();
          }
        } catch {
          // Disconnected, or refused while the names change.
        }
      }
    });
    await restoreAll(made, target(other));
    isDone = true;
    await Promise.all(clients);
    console.info(`clients of the database waited ${Math.round(longestMs)} ms at most`);
    expect([...seen].toSorted()).toEqual(['1', '2']);
    expect(longestMs).toBeLessThan(5000);
    expect(await databasesOf(other.id)).toEqual(standard);
  });

  test('that fails its check is taken back by renaming, and taking back twice does no harm', async () => {
    await clear(other.id);
    await runSql(other.id, ['CREATE DATABASE zoo', 'CREATE TABLE t (a int)', 'INSERT INTO t VALUES (1)']);
    await runSql(other.id, ['CREATE TABLE t (a int)'], 'zoo');
    const { content, facts } = await makeBackup(target(other));
    await runSql(other.id, [
      'INSERT INTO t VALUES (2)',
      "ALTER DATABASE app SET work_mem = '6MB'",
      'DROP DATABASE zoo',
    ]);
    const before = await fingerprintOf(other.id, 'app');
    const planned = () =>
      postgres.planRestore(target(other), facts, { beside: false }, makeContext().context);
    {
      using _client = await clientOf(other.id);
      expect((await planned()).plan.usedBy).toEqual([expect.stringMatching(/^1 connection to "app"/)]);
    }
    const restoration = await planned();
    expect(restoration.plan).toMatchObject({
      replaces: true,
      volumes: [],
      containers: [other.id],
      presentCounts: { databases: 1, tables: 1 },
    });
    await restoration.stage(content);
    await restoration.swap();
    expect(await ask(other.id, 'SELECT count(*) FROM t')).toEqual(['1']);
    await runSql(other.id, ['DROP TABLE t']);
    await expect(restoration.check()).rejects.toThrow(/database "app": expected 1 tables, found 0/);
    await restoration.rollback();
    await restoration.rollback();
    expect(await fingerprintOf(other.id, 'app')).toBe(before);
    expect(await databasesOf(other.id)).toEqual(standard);
  });

  test('leaves nothing where the dump in it is cut, or rows are missing', async () => {
    await clear(other.id);
    const made = await makeBackup(target(main));
    const before = await fingerprintOf(other.id, 'app');
    const cut = await changed(made, 'app.dump', (bytes) => bytes.subarray(0, bytes.length - 20_000));
    expect((await errorOf(restoreAll(cut, target(other)))).message).toMatch(
      /dump of database "app" is not a whole dump/,
    );
    const thinned = await changed(made, 'app.dump', (bytes) => {
      const at = bytes.indexOf('7\t[7,7,7]\ttext 7\n') - 5;
      const length = bytes.readUInt32LE(at + 1) + 5;
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    });
    expect((await errorOf(restoreAll(thinned, target(other)))).message).toMatch(
      /rows: expected \d+, found \d+/,
    );
    expect(await fingerprintOf(other.id, 'app')).toBe(before);
    expect(await databasesOf(other.id)).toEqual(standard);
    expect(await ask(other.id, `SELECT rolname FROM pg_roles WHERE rolname = 'bob'`)).toEqual([]);
  });

  test('counts the rows in the database, not only those that were sent', async () => {
    await clear(other.id);
    await runSql(other.id, ['CREATE TABLE t (a int)', 'INSERT INTO t VALUES (1), (2)']);
    const made = await makeBackup(target(other));
    const real = await docker();
    const losing = async () => ({
      ...real,
      async *execStream(id: string, options: Parameters<typeof real.execStream>[1]) {
        yield* real.execStream(id, options);
        if (options.command[0] !== 'pg_restore') return;
        const [staged = ''] = (await databasesOf(id)).filter((name) => name.includes('.pkbackup-staged-'));
        await runSql(id, ['DELETE FROM t WHERE a = 2'], staged);
      },
    });
    const { context } = makeContext({ docker: losing });
    const error = await errorOf(restoreAll(made, target(other), { beside: false }, context));
    expect(error.message).toMatch(/not restored as it was: table "public.t" has 1 rows, the dump 2/);
    expect(await databasesOf(other.id)).toEqual(standard);
  });

  test('that is interrupted while it stages leaves nothing, and no session', async () => {
    await clear(other.id);
    await runSql(other.id, [`CREATE TABLE big AS SELECT g, md5(g::text) FROM generate_series(1, 200000) g`]);
    const made = await makeBackup(target(other));
    const { context, stop } = makeContext();
    const emit = (event: Event) => {
      if (event.type === 'progress' && event.doneBytes > 2_000_000) stop.abort();
    };
    const error = await errorOf(restoreAll(made, target(other), { beside: false }, { ...context, emit }));
    expect(error.code).toBe('interrupted');
    expect(await databasesOf(other.id)).toEqual(standard);
    expect(await ask(other.id, 'SELECT count(*) FROM big')).toEqual(['200000']);
    await expectNoSessions(other.id);
  });

  test('goes through a file where stdin cannot be closed, as over Windows pipes', async () => {
    await clear(other.id);
    const made = await makeBackup(target(main));
    const real = await docker();
    const piped = async () => ({
      ...real,
      url: 'npipe:////./pipe/docker_engine',
      execStream: (id: string, options: Parameters<typeof real.execStream>[1]) => {
        if (options.stdin) throw new Error('stdin does not work over Windows pipes');
        return real.execStream(id, options);
      },
    });
    await restoreAll(made, elsewhere(other), { beside: true }, makeContext({ docker: piped }).context);
    expect(await fingerprintOf(other.id, weird)).toBe(await fingerprintOf(main.id, weird));
    const { stdout } = await real.exec(other.id, { command: ['ls', '/tmp'] });
    expect(stdout.toString()).not.toContain('pkbackup');
  });

  test('does without one transaction where the server has locks for fewer tables', async () => {
    const tables = 400;
    await clear(other.id);
    const make = `DO $$ BEGIN FOR i IN 1..${tables} LOOP EXECUTE format('CREATE TABLE t%s (a int PRIMARY KEY)', i); END LOOP; END $$`;
    await runSql(other.id, [make]);
    const made = await makeBackup(target(other));
    const small = await startPostgres({
      args: ['-c', 'max_locks_per_transaction=10', '-c', 'max_connections=15'],
    });
    await restoreAll(made, elsewhere(small), { beside: true });
    expect(await ask(small.id, `SELECT count(*) FROM pg_class WHERE relname ~ '^t[0-9]+$'`)).toEqual([
      `${tables}`,
    ]);
  });

  test('makes one database under another name, and refuses one that is there', async () => {
    await clear(other.id);
    await runSql(other.id, ['CREATE TABLE t (a int)', 'INSERT INTO t VALUES (1)']);
    const app = await makeBackup(target(other));
    const to = (text: string) => postgres.retarget(target(other), text);
    const { plan } = await restoreAll(app, to('copy'), { beside: true });
    expect(plan).toMatchObject({ target: `database "copy" in container "${other.name}"`, replaces: false });
    expect(await ask(other.id, 'SELECT count(*) FROM t', 'copy')).toEqual(['1']);
    expect((await errorOf(restoreAll(app, to('copy'), { beside: true }))).message).toMatch(
      /"copy" is there already/,
    );
    const two = await makeBackup(target(other));
    const which = await errorOf(restoreAll(two, to('third'), { beside: true }));
    expect(which).toMatchObject({ code: 'ambiguous', hint: 'say --to app=NEW_NAME' });
    await restoreAll(two, to('copy=third'), { beside: true });
    expect(await databasesOf(other.id)).toEqual([...standard, 'copy', 'third'].toSorted());
  });

  test('can replace "postgres" itself', async () => {
    await clear(other.id);
    await runSql(other.id, ['CREATE TABLE mine (a int)', 'INSERT INTO mine VALUES (1)'], 'postgres');
    try {
      const made = await makeBackup(target(other));
      expect(made.facts.databases).toEqual(['app', 'postgres']);
      await runSql(other.id, ['DELETE FROM mine'], 'postgres');
      await restoreAll(made, target(other));
      expect(await ask(other.id, 'SELECT count(*) FROM mine', 'postgres')).toEqual(['1']);
      expect(await databasesOf(other.id)).toEqual(standard);
    } finally {
      await runSql(other.id, ['DROP TABLE mine'], 'postgres');
    }
  });
});

describe('a restore whose process is dead', () => {
  /** As the journal gives it back. */
  async function resumed(server: ServerContainer, state: unknown, facts: BackupFacts) {
    const record = JSON.parse(JSON.stringify({ target: elsewhere(server), state }));
    const { context } = makeContext();
    const restoration = await postgres.resumeRestore?.(
      postgres.schema.parse(record.target),
      record.state,
      facts,
      context,
    );
    return restoration ?? expect.fail('it cannot be resumed');
  }

  const rolesOf = (id: string) =>
    ask(id, `SELECT rolname FROM pg_roles WHERE rolname = 'bob' OR rolconfig::text LIKE '%pkbackup%'`);

  test('is undone while it stages: databases, roles and the sessions that go on without it', async () => {
    await clear(other.id);
    const made = await makeBackup(target(main));
    const before = await fingerprintOf(other.id, 'app');
    const restoration = await postgres.planRestore(
      target(other),
      made.facts,
      { beside: false },
      makeContext().context,
    );
    const early = JSON.parse(JSON.stringify(restoration.state));
    await restoration.stage(made.content);
    expect((await databasesOf(other.id)).length).toBe(standard.length + 2);
    using orphan = await clientOf(other.id);
    await orphan.query(`SET application_name = '${early.applicationName}'`);
    const sleeping = orphan.query('SELECT pg_sleep(100)').catch(() => 'ended');

    const found = await resumed(other, early, made.facts);
    expect(await sleeping).toBe('ended');
    await found.rollback();
    await found.rollback();
    expect(await databasesOf(other.id)).toEqual(standard);
    expect(await rolesOf(other.id)).toEqual([]);
    expect(await fingerprintOf(other.id, 'app')).toBe(before);
  });

  test('is undone after the swap, and where only the connections were closed', async () => {
    await clear(other.id);
    const made = await makeBackup(target(main));
    const before = await fingerprintOf(other.id, 'app');
    for (const isSwapped of [true, false]) {
      const restoration = await postgres.planRestore(
        target(other),
        made.facts,
        { beside: false },
        makeContext().context,
      );
      await restoration.stage(made.content);
      const state = JSON.parse(JSON.stringify(restoration.state));
      if (isSwapped) await restoration.swap();
      else await runSql(other.id, ['ALTER DATABASE app ALLOW_CONNECTIONS false'], 'postgres');
      await (await resumed(other, state, made.facts)).rollback();
      expect(await databasesOf(other.id)).toEqual(standard);
      expect(await fingerprintOf(other.id, 'app')).toBe(before);
      expect(await rolesOf(other.id)).toEqual([]);
    }
  });

  test('is ended where the new data had proved itself, and the previous data is kept first', async () => {
    await clear(other.id);
    await runSql(other.id, ['CREATE TABLE mine (a int)', 'INSERT INTO mine VALUES (1)']);
    const made = await makeBackup(target(main));
    const restoration = await postgres.planRestore(
      target(other),
      made.facts,
      { beside: false },
      makeContext().context,
    );
    await restoration.stage(made.content);
    await restoration.swap();
    await restoration.check();
    const found = await resumed(other, restoration.state, made.facts);
    const previous = await found.previous();
    const tar = previous ? await bytesOf(previous.tar) : Buffer.alloc(0);
    await previous?.dispose?.();
    await found.discard();
    expect(previous?.counts).toMatchObject({ databases: 1, tables: 1, rows: 1 });
    expect(tar.toString('latin1')).toContain('CREATE TABLE public.mine');
    expect(tar.toString('latin1')).not.toContain('pkbackup.restore');
    expect(await fingerprintOf(other.id, 'app')).toBe(await fingerprintOf(main.id, 'app'));
    expect(await databasesOf(other.id)).toEqual([...standard, weird].toSorted());
    expect(await rolesOf(other.id)).toEqual(['bob']);
  });
});

describe('the content level', () => {
  test('finds what pg_restore alone finds, and says where it could not be asked', async () => {
    const made = await makeBackup({ ...target(main), databases: ['app'] });
    const { context } = makeContext();
    const good = await postgres.check!(made.content, made.facts, context);
    expect(good).toEqual({ findings: [], counts: made.facts.counts, notChecked: [] });

    const broken = await changed(made, 'app.dump', (bytes) => {
      const text = Buffer.from(`standard_conforming_strings = 'on'`);
      bytes.write('"on"', bytes.indexOf(text) + text.length - 4, 'latin1');
      return bytes;
    });
    const { findings } = await postgres.check!(broken.content, broken.facts, context);
    expect(findings.join()).toMatch(/cannot be read: .*pg_restore/);

    const gone = { ...made.facts, source: { ...made.facts.source, image: 'pkbackup-test/postgres:gone' } };
    const { notChecked } = await postgres.check!(made.content, gone, context);
    expect(notChecked).toEqual([
      expect.stringMatching(/pg_restore has not read .* "pkbackup-test\/postgres:gone"/),
    ]);
    expect(await helpersLeft()).toEqual([]);
  });
});
