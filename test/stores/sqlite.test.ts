import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { scanTar } from '../../src/archive/tar-scan.ts';
import { sqlite } from '../../src/stores/sqlite.ts';
import { inChunks, makeTar, makeTempDir } from '../archive/gather.ts';
import { isRoot } from '../archive/hostile-tree.ts';
import { contentOf, makeBackup, makeContext, restoreFully } from './host-run.ts';
import { commitsIn, crashAfter, holdOpen, lastBefore, startWriter } from './sqlite-live.ts';

const noFacts = { kind: 'sqlite', store: 'tested', source: {}, counts: {} } as const;

function makeDatabase(path: string, sql = 'CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)'): void {
  const database = new DatabaseSync(path);
  database.exec(sql);
  database.close();
}

function valuesIn(path: string, sql = 'SELECT a FROM t ORDER BY a'): unknown[] {
  const database = new DatabaseSync(path);
  try {
    return database
      .prepare(sql)
      .all()
      .map((row) => Object.values(row)[0]);
  } finally {
    database.close();
  }
}

/** As an application with its own modules, or a bug, would leave it. */
function changeSchema(path: string, sql: string): void {
  const database = new DatabaseSync(path);
  database.enableDefensive(false);
  database.exec(`PRAGMA writable_schema = ON; ${sql}`);
  database.close();
}

async function extractTo(tar: Buffer, path: string): Promise<void> {
  const data: Buffer[] = [];
  const names: string[] = [];
  for await (const piece of scanTar(inChunks(tar))) {
    if (piece.type === 'data') data.push(piece.bytes);
    else names.push(piece.entry.path.toString());
  }
  expect(names).toHaveLength(1);
  fs.writeFileSync(path, Buffer.concat(data));
}

/** Overwrites what is in the middle of a page, as a bad disk would. */
function damage(path: string, at: number): void {
  const file = fs.openSync(path, 'r+');
  fs.writeSync(file, Buffer.alloc(200, 0xa5), 0, 200, at);
  fs.closeSync(file);
}

const manyRows = `CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT); CREATE INDEX t_b ON t (b);
  INSERT INTO t SELECT value, hex(randomblob(50)) FROM generate_series_like;`.replace(
  'generate_series_like',
  '(WITH RECURSIVE c(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM c WHERE value < 5000) SELECT value FROM c)',
);

describe('sqlite: look', () => {
  it('says version and size without touching anything', async () => {
    const directory = makeTempDir();
    const path = join(directory, 'events.db');
    makeDatabase(path, 'PRAGMA journal_mode = wal; CREATE TABLE t (a)');
    const look = await sqlite.look({ path }, makeContext());
    expect(look.version).toMatch(/^3\.\d+\.\d+$/);
    expect(look).toMatchObject({ source: { path }, isEmpty: false, estimatedBytes: fs.statSync(path).size });
    expect(fs.readdirSync(directory)).toEqual(['events.db']);
  });

  it('finds empty what has no table, unless its log has something', async () => {
    const directory = makeTempDir();
    const isEmpty = async (name: string) =>
      (await sqlite.look({ path: join(directory, name) }, makeContext())).isEmpty;
    fs.writeFileSync(join(directory, 'nothing.db'), '');
    makeDatabase(join(directory, 'dropped.db'), 'CREATE TABLE t (a); DROP TABLE t');
    const open = new DatabaseSync(join(directory, 'log.db'));
    open.exec('PRAGMA journal_mode = wal; CREATE TABLE t (a)');
    expect(await isEmpty('nothing.db')).toBe(true);
    expect(await isEmpty('dropped.db')).toBe(true);
    expect(await isEmpty('log.db')).toBe(false);
    open.close();
  });

  it('says in one line what is wrong with the path', async () => {
    const directory = makeTempDir();
    fs.writeFileSync(join(directory, 'text'), 'no database, but longer than the header of one'.repeat(10));
    fs.writeFileSync(join(directory, 'short'), 'SQLite format 3\0');
    const at = (name: string) => sqlite.look({ path: join(directory, name) }, makeContext());
    const says = (name: string, message: string) =>
      expect(at(name)).rejects.toMatchObject({
        code: 'not_found',
        message: `"${join(directory, name)}" ${message}`,
      });
    await says('nowhere', 'is not there');
    await says('', 'is a directory, expected an SQLite database');
    await says('text', 'is a file of another kind, expected an SQLite database');
    await says('short', 'is a file of another kind, expected an SQLite database');
  });
});

describe('sqlite: backup', () => {
  it.each(['wal', 'delete'] as const)(
    'is pinned before it is copied: what comes after is not in it (%s)',
    async (mode) => {
      const directory = makeTempDir();
      const path = join(directory, 'events.db');
      makeDatabase(
        path,
        `PRAGMA journal_mode = ${mode}; CREATE TABLE t (a); INSERT INTO t VALUES (zeroblob(20000000))`,
      );
      const writer = new DatabaseSync(path, { timeout: 10_000 });
      let written = 0;
      const onPinned = () => {
        written += 1;
        // In the other modes it waits for the copy.
        if (mode === 'wal') writer.exec('INSERT INTO t VALUES (1)');
      };
      const context = { ...makeContext(), onPinned };
      const snapshot = await sqlite.snapshot({ path }, await sqlite.look({ path }, context), context);
      writer.close();
      await snapshot.dispose?.();
      expect(written).toBe(1);
      expect(snapshot.counts).toMatchObject({ t: 1 });
    },
  );

  it.each(['wal', 'delete'] as const)(
    'takes a prefix of the commits of a writer that never pauses, none acknowledged before missing (%s)',
    async (mode) => {
      const directory = makeTempDir();
      const path = join(directory, 'live.db');
      await using writer = startWriter(path, mode);
      await writer.commits(500);
      for (let round = 0; round < 2; round += 1) {
        const { tar, pinnedAt, facts } = await makeBackup(sqlite, { path });
        await writer.commits(50);
        const copy = join(directory, `copy-${round}.db`);
        await extractTo(tar, copy);
        const found = commitsIn(copy);
        expect(found).toMatchObject({ integrity: 'ok', rows: found.last, twins: found.last });
        expect(found.last).toBeGreaterThanOrEqual(lastBefore(writer, pinnedAt));
        expect(facts.counts).toMatchObject({
          tables: 2,
          indexes: 1,
          rows: 2 * found.last,
          commits: found.last,
        });
      }
    },
  );

  it('keeps what only the log has, and puts neither log nor index into the backup', async () => {
    const directory = makeTempDir();
    const path = join(directory, 'events.db');
    const open = new DatabaseSync(path);
    open.exec('PRAGMA journal_mode = wal; CREATE TABLE t (a); INSERT INTO t VALUES (7)');
    const { tar, facts } = await makeBackup(sqlite, { path });
    await extractTo(tar, join(directory, 'copy.db'));
    open.close();
    expect(valuesIn(join(directory, 'copy.db'))).toEqual([7]);
    expect(facts.counts).toEqual({ tables: 1, rows: 1, t: 1 });
  });

  it('keeps name, mode, owner and time of the file, and what is in its header', async () => {
    const path = join(makeTempDir(), 'events.db');
    makeDatabase(
      path,
      'PRAGMA page_size = 8192; PRAGMA user_version = 42; PRAGMA application_id = 77; CREATE TABLE t (a)',
    );
    fs.chmodSync(path, 0o640);
    if (isRoot) fs.chownSync(path, 999, 998);
    fs.utimesSync(path, 1_600_000_000, 1_600_000_000);
    const { tar } = await makeBackup(sqlite, { path });
    const listing = execFileSync('tar', ['-tv', '--numeric-owner', '--utc'], { input: tar }).toString();
    if (isRoot) expect(listing).toMatch(/^-rw-r----- 999\/998 +\d+ 2020-09-13 12:26 events\.db\n$/);
    const copy = join(makeTempDir(), 'copy.db');
    await extractTo(tar, copy);
    expect(
      ['page_size', 'user_version', 'application_id'].map((name) => valuesIn(copy, `PRAGMA ${name}`)[0]),
    ).toEqual([8192, 42, 77]);
  });

  it('leaves nothing beside the database and nothing in the scratch directory', async () => {
    const directory = makeTempDir();
    const context = makeContext();
    makeDatabase(join(directory, 'wal.db'), 'PRAGMA journal_mode = wal; CREATE TABLE t (a)');
    await makeBackup(sqlite, { path: join(directory, 'wal.db') }, context);
    expect(fs.readdirSync(directory)).toEqual(['wal.db']);
    expect(fs.readdirSync(context.scratchDir)).toEqual([]);
  });

  it('counts tables, rows, indexes, triggers and views, full-text tables included', async () => {
    const path = join(makeTempDir(), 'all.db');
    makeDatabase(
      path,
      `CREATE TABLE events (a UNIQUE); CREATE TABLE outbox (b); CREATE TABLE "odd "" name" (c);
       INSERT INTO events VALUES (1), (2), (3); INSERT INTO outbox VALUES (1); INSERT INTO "odd "" name" VALUES (1);
       CREATE VIRTUAL TABLE search USING fts5(text); INSERT INTO search VALUES ('words');
       CREATE INDEX i ON outbox (b); CREATE VIEW v AS SELECT 1;
       CREATE TRIGGER g AFTER INSERT ON events BEGIN SELECT 1; END`,
    );
    const { facts, content } = await makeBackup(sqlite, { path });
    const counts = { tables: 4, indexes: 1, triggers: 1, views: 1, rows: 5, events: 3, outbox: 1 };
    expect(facts.counts).toEqual(counts);
    expect(await sqlite.check!(content, facts, makeContext())).toEqual({
      findings: [],
      notChecked: [],
      counts,
    });
  });

  it('refuses a damaged database that quick_check would call sound', async () => {
    const path = join(makeTempDir(), 'damaged.db');
    makeDatabase(path, manyRows);
    // A row that changed while the index was not in the schema.
    changeSchema(path, "DELETE FROM sqlite_schema WHERE name = 't_b'");
    makeDatabase(path, "UPDATE t SET b = 'not in the index' WHERE a = 77");
    changeSchema(
      path,
      "INSERT INTO sqlite_schema VALUES ('index', 't_b', 't', 3, 'CREATE INDEX t_b ON t (b)')",
    );
    expect(valuesIn(path, 'PRAGMA quick_check')).toEqual(['ok']);
    const context = makeContext();
    await expect(makeBackup(sqlite, { path }, context)).rejects.toMatchObject({
      code: 'backup_failed',
      message: `"${path}" is damaged: row 77 missing from index t_b`,
    });
    expect(fs.readdirSync(context.scratchDir)).toEqual([]);
  });

  it('saves what it cannot check, and says what', async () => {
    const path = join(makeTempDir(), 'needs-more.db');
    makeDatabase(
      path,
      'CREATE TABLE plain (a UNIQUE); CREATE TABLE names (n TEXT COLLATE nocase); CREATE INDEX by_n ON names (n)',
    );
    changeSchema(
      path,
      `UPDATE sqlite_schema SET sql = replace(sql, 'nocase', 'icu_de') WHERE name = 'names';
       INSERT INTO sqlite_schema VALUES ('table', 'vectors', 'vectors', 0, 'CREATE VIRTUAL TABLE vectors USING vec0(x)')`,
    );
    const context = makeContext();
    const { notes, facts, content } = await makeBackup(sqlite, { path }, context);
    expect(notes).toEqual([
      'not checked: table "vectors": no such module: vec0',
      'not checked: table "names": no such collation sequence: icu_de',
    ]);
    expect(context.events.filter((event) => event.type === 'warning')).toHaveLength(2);
    const report = await sqlite.check!(content, facts, makeContext());
    expect(report.findings).toEqual([]);
    expect(report.notChecked).toHaveLength(2);
  });

  it('rolls back what a crashed writer left half done', async () => {
    const directory = makeTempDir();
    const path = join(directory, 'crashed.db');
    makeDatabase(path, manyRows);
    await crashAfter(path, "PRAGMA cache_size = 5; BEGIN; UPDATE t SET b = 'half'");
    expect(fs.statSync(`${path}-journal`).size).toBeGreaterThan(0);
    const { tar } = await makeBackup(sqlite, { path });
    await extractTo(tar, join(directory, 'copy.db'));
    expect(valuesIn(join(directory, 'copy.db'), "SELECT count(*) FROM t WHERE b = 'half'")).toEqual([0]);
  });

  it('waits for a lock, and says so when it stays', async () => {
    const path = join(makeTempDir(), 'locked.db');
    makeDatabase(path);
    const holder = await holdOpen(path, 'BEGIN EXCLUSIVE');
    await expect(makeBackup(sqlite, { path, wait_seconds: 1 })).rejects.toMatchObject({
      code: 'backup_failed',
      message: `"${path}" was locked for 1 s`,
    });
    const waiting = makeBackup(sqlite, { path, wait_seconds: 20 });
    setTimeout(() => holder[Symbol.asyncDispose](), 3000);
    expect((await waiting).facts.counts.t).toBe(2);
  });

  it('stops at once when it is told to, and leaves nothing', async () => {
    const path = join(makeTempDir(), 'locked.db');
    makeDatabase(path);
    await using _holder = await holdOpen(path, 'BEGIN EXCLUSIVE');
    const context = makeContext();
    const startedMs = Date.now();
    setTimeout(() => context.controller.abort(new Error('told to')), 300);
    await expect(makeBackup(sqlite, { path }, context)).rejects.toThrow('told to');
    expect(Date.now() - startedMs).toBeLessThan(5000);
    expect(fs.readdirSync(context.scratchDir)).toEqual([]);
  });
});

describe('sqlite: check', () => {
  it('finds a wrong count, a damaged page, a cut file and something else', async () => {
    const directory = makeTempDir();
    const path = join(directory, 'events.db');
    makeDatabase(path, manyRows);
    const { facts, content } = await makeBackup(sqlite, { path });
    const findings = async (made: typeof content, expected = facts) =>
      (await sqlite.check!(made, expected, makeContext())).findings;
    expect(await findings(content)).toEqual([]);
    expect(await findings(content, { ...facts, counts: { rows: 4999 } })).toEqual([
      'rows: expected 4999, found 5000',
    ]);
    damage(path, 20 * 4096);
    const image = fs.readFileSync(path).toString('latin1');
    const asTar = (name: string, data: string) =>
      contentOf(execFileSync('tar', ['-c', '-C', tarDir(directory, name, data), '.'], { maxBuffer: 1e8 }));
    expect(await findings(asTar('damaged.db', image))).not.toEqual([]);
    expect(await findings(asTar('cut.db', image.slice(0, 30 * 4096)))).not.toEqual([]);
    expect(await findings(asTar('text', 'no database'))).toEqual([
      'expected one SQLite database in the archive, found "text"',
    ]);
    expect(await findings(contentOf(makeTar([])))).toEqual([
      'expected one SQLite database in the archive, found nothing',
    ]);
  });
});

function tarDir(directory: string, name: string, latin1: string): string {
  const path = fs.mkdtempSync(join(directory, 'tar-'));
  fs.writeFileSync(join(path, name), Buffer.from(latin1, 'latin1'));
  return path;
}

describe('sqlite: restore', () => {
  async function madeBackup(directory: string, sql?: string) {
    const path = join(directory, 'events.db');
    makeDatabase(path, sql);
    return { path, ...(await makeBackup(sqlite, { path })) };
  }

  it('brings back a database that is gone, with its directory, mode and owner', async () => {
    const root = makeTempDir();
    const path = join(root, 'data/events.db');
    fs.mkdirSync(join(root, 'data'));
    makeDatabase(path);
    fs.chmodSync(path, 0o640);
    if (isRoot) fs.chownSync(path, 999, 998);
    const { content, facts } = await makeBackup(sqlite, { path });
    fs.rmSync(join(root, 'data'), { recursive: true });
    const restoration = await sqlite.planRestore({ path }, facts, { beside: false }, makeContext());
    expect(restoration.plan).toMatchObject({ target: `file "${path}"`, replaces: false, volumes: [] });
    const { counts, previous } = await restoreFully(restoration, content);
    expect(counts).toEqual({ tables: 1, rows: 2, t: 2 });
    expect(previous).toBeUndefined();
    expect(valuesIn(path)).toEqual([1, 2]);
    const { mode, uid } = fs.statSync(path);
    expect([mode & 0o777, uid]).toEqual([0o640, isRoot ? 999 : uid]);
    expect(fs.readdirSync(join(root, 'data'))).toEqual(['events.db']);
  });

  it('does not let a stale log play the old rows into the restored database', async () => {
    const directory = makeTempDir();
    const { path, content, facts } = await madeBackup(
      directory,
      'PRAGMA journal_mode = wal; CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)',
    );
    await crashAfter(path, 'DELETE FROM t; INSERT INTO t VALUES (666)');
    expect(fs.readdirSync(directory).sort()).toEqual(['events.db', 'events.db-shm', 'events.db-wal']);
    const restoration = await sqlite.planRestore({ path }, facts, { beside: false }, makeContext());
    const { previous } = await restoreFully(restoration, content);
    expect(valuesIn(path)).toEqual([1, 2]);
    expect(fs.readdirSync(directory)).toEqual(['events.db']);
    await extractTo(previous ?? Buffer.alloc(0), join(directory, 'previous.db'));
    expect(valuesIn(join(directory, 'previous.db'))).toEqual([666]);
  });

  it('gives the restored file mode and owner of the present one', async () => {
    const { path, content, facts } = await madeBackup(makeTempDir());
    fs.chmodSync(path, 0o604);
    if (isRoot) fs.chownSync(path, 4242, 4243);
    await restoreFully(await sqlite.planRestore({ path }, facts, { beside: false }, makeContext()), content);
    const { mode, uid, gid } = fs.statSync(path);
    expect(mode & 0o777).toBe(0o604);
    if (isRoot) expect([uid, gid]).toEqual([4242, 4243]);
  });

  it('restores where a link points to, and leaves the link', async () => {
    const directory = makeTempDir();
    const { path, content, facts } = await madeBackup(directory);
    const link = join(makeTempDir(), 'link.db');
    fs.symlinkSync(path, link);
    makeDatabase(path, 'DELETE FROM t');
    await restoreFully(
      await sqlite.planRestore({ path: link }, facts, { beside: false }, makeContext()),
      content,
    );
    expect(fs.lstatSync(link).isSymbolicLink()).toBe(true);
    expect(valuesIn(path)).toEqual([1, 2]);
  });

  it.each(['wal', 'delete'])('refuses while another process has it open, idle or not (%s)', async (mode) => {
    const directory = makeTempDir();
    const { path, content, facts } = await madeBackup(
      directory,
      `PRAGMA journal_mode = ${mode}; CREATE TABLE t (a)`,
    );
    const restoration = await sqlite.planRestore({ path }, facts, { beside: false }, makeContext());
    await restoration.stage(content);
    const before = fs.readFileSync(path);
    {
      await using _holder = await holdOpen(path, 'SELECT * FROM t');
      const message = expect.stringContaining(`"${path}" is open in `);
      await expect(restoration.swap()).rejects.toMatchObject({ code: 'restore_failed', message });
      const again = sqlite.planRestore({ path }, facts, { beside: false }, makeContext());
      await expect(again).rejects.toMatchObject({ code: 'restore_failed', message });
      await restoration.rollback();
      expect(fs.readFileSync(path).equals(before)).toBe(true);
    }
    expect(fs.readdirSync(directory).filter((name) => name.includes('pkbackup'))).toEqual([]);
  });

  it('is not undone by a later process while somebody has it open', async () => {
    const directory = makeTempDir();
    const { path, content, facts } = await madeBackup(directory, 'CREATE TABLE t (a)');
    const restoration = await sqlite.planRestore({ path }, facts, { beside: false }, makeContext());
    const previous = new DatabaseSync(path);
    previous.exec('INSERT INTO t VALUES (3)');
    previous.close();
    const before = fs.readFileSync(path);
    await restoration.stage(content);
    await restoration.swap();
    const state = JSON.parse(JSON.stringify(restoration.state));
    const later = await sqlite.resumeRestore?.({ path }, state, facts, makeContext());
    {
      await using _holder = await holdOpen(path, 'SELECT * FROM t');
      await expect(later?.rollback()).rejects.toMatchObject({
        code: 'restore_failed',
        hint: 'stop what uses it, then run pkbackup recover',
      });
      expect(fs.readFileSync(path).equals(before)).toBe(false);
    }
    await later?.rollback();
    expect(fs.readFileSync(path).equals(before)).toBe(true);
    expect(fs.readdirSync(directory).filter((name) => name.includes('pkbackup'))).toEqual([]);
  });

  it('is undone by rollback at every step, log and journal included', async () => {
    const directory = makeTempDir();
    const { path, content, facts } = await madeBackup(
      directory,
      'PRAGMA journal_mode = wal; CREATE TABLE t (a)',
    );
    await crashAfter(path, 'INSERT INTO t VALUES (3)');
    const read = () =>
      fs
        .readdirSync(directory)
        // The index of the log is made anew by whoever reads it; only that it is there counts.
        .map((name) => [name, name.endsWith('-shm') || fs.readFileSync(join(directory, name), 'latin1')]);
    const before = read();
    for (const steps of [0, 1, 2, 3]) {
      const restoration = await sqlite.planRestore({ path }, facts, { beside: false }, makeContext());
      if (steps > 0) await restoration.stage(content);
      if (steps > 1) await restoration.swap();
      if (steps > 2) await restoration.check();
      await restoration.rollback();
      await restoration.rollback();
      expect(read()).toEqual(before);
    }
    expect(valuesIn(path)).toEqual([3]);
  });

  it('puts back what was there after the restored database was used already', async () => {
    const directory = makeTempDir();
    const { path, content, facts } = await madeBackup(
      directory,
      'PRAGMA journal_mode = wal; CREATE TABLE t (a)',
    );
    makeDatabase(path, 'INSERT INTO t VALUES (1)');
    const restoration = await sqlite.planRestore({ path }, facts, { beside: false }, makeContext());
    await restoration.stage(content);
    await restoration.swap();
    const user = new DatabaseSync(path);
    user.exec('INSERT INTO t VALUES (99)');
    expect(await restoration.check()).toMatchObject({ rows: 1 });
    user.close();
    await restoration.rollback();
    expect(valuesIn(path)).toEqual([1]);
    expect(fs.readdirSync(directory)).toEqual(['events.db']);
  });

  it('refuses a damaged database that its checksum would pass, and leaves the present one', async () => {
    const directory = makeTempDir();
    const { path, facts } = await madeBackup(directory, manyRows);
    const image = fs.readFileSync(path);
    image.fill(0xa5, 20 * 4096, 20 * 4096 + 300);
    const tar = execFileSync(
      'tar',
      ['-c', '-C', tarDir(makeTempDir(), 'events.db', image.toString('latin1')), '.'],
      { maxBuffer: 1e8 },
    );
    const restoration = await sqlite.planRestore(
      { path },
      { ...facts, rawSizeBytes: tar.length },
      { beside: false },
      makeContext(),
    );
    await expect(restoration.stage(contentOf(tar))).rejects.toMatchObject({
      code: 'restore_failed',
      message: expect.stringContaining('is not sound: '),
    });
    await restoration.rollback();
    expect(valuesIn(path, 'SELECT count(*) FROM t')).toEqual([5000]);
    expect(fs.readdirSync(directory)).toEqual(['events.db']);
  });

  it('refuses fewer rows than the metadata counts', async () => {
    const { path, content, facts } = await madeBackup(makeTempDir());
    const counted = { ...facts, counts: { rows: 3 } };
    const restoration = await sqlite.planRestore({ path }, counted, { beside: false }, makeContext());
    await expect(restoration.stage(content)).rejects.toThrow('rows: expected 3, found 2');
  });

  it('replaces a broken database and keeps it as it was', async () => {
    const directory = makeTempDir();
    const { path, content, facts } = await madeBackup(directory);
    fs.writeFileSync(path, 'this is what a bad disk left');
    const restoration = await sqlite.planRestore({ path }, facts, { beside: false }, makeContext());
    const { previous } = await restoreFully(restoration, content);
    expect(valuesIn(path)).toEqual([1, 2]);
    expect(previous?.includes('this is what a bad disk left')).toBe(true);
  });

  it('refuses a place beside that is taken, and a directory', async () => {
    const directory = makeTempDir();
    const { path, facts } = await madeBackup(directory);
    const plan = (to: string) =>
      sqlite.planRestore(sqlite.retarget({ path }, to), facts, { beside: true }, makeContext());
    await expect(plan(path)).rejects.toMatchObject({
      code: 'restore_failed',
      message: `"${path}" is there already; nothing was touched`,
    });
    await expect(plan(directory)).rejects.toMatchObject({
      code: 'restore_failed',
      message: `"${directory}" is a directory, expected a database file`,
    });
  });

  it('refuses an archive with more or something else in it', async () => {
    const directory = makeTempDir();
    const path = join(directory, 'events.db');
    for (const pieces of [[{ path: './a' }, { path: './b' }], [{ path: './text', data: 'text' }]]) {
      const restoration = await sqlite.planRestore({ path }, noFacts, { beside: false }, makeContext());
      await expect(restoration.stage(contentOf(makeTar(pieces)))).rejects.toThrow(
        'expected one SQLite database',
      );
      await restoration.rollback();
    }
    expect(fs.readdirSync(directory)).toEqual([]);
  });
});
