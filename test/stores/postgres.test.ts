// What needs no server: reading dumps made by real ones (test/stores/fixtures/dumps: three tables with 3, 0 and 1 rows,
// two large objects, a partitioned table), and SQL out of them. The rest is in postgres.docker.test.ts.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeEntry, endOfArchive, padding } from '../../src/archive/tar-format.ts';
import type { PkbackupError } from '../../src/errors.ts';
import { isOwn, ownNameFor } from '../../src/stores/postgres/cluster.ts';
import { addDump, differences, noCounts } from '../../src/stores/postgres/counts.ts';
import { createDatabase, databaseProperties } from '../../src/stores/postgres/database-properties.ts';
import { DumpReader, type Toc } from '../../src/stores/postgres/dump-format.ts';
import { databaseOf, fileNames } from '../../src/stores/postgres/file-names.ts';
import { assertWholeGlobals, missingRoles } from '../../src/stores/postgres/globals.ts';
import { conninfo, readStatements } from '../../src/stores/postgres/sql.ts';
import { postgres } from '../../src/stores/postgres.ts';
import { makeContext } from './host-run.ts';

const dump = (name: string) => readFileSync(join(import.meta.dirname, 'fixtures', 'dumps', `${name}.dump`));

function readIn(bytes: Buffer, pieceBytes: number) {
  const reader = new DumpReader('the dump');
  for (let at = 0; at < bytes.length; at += pieceBytes) reader.read(bytes.subarray(at, at + pieceBytes));
  return reader.end();
}

describe('a dump', () => {
  for (const [major, format] of [
    ['15', '1.14'],
    ['17', '1.16'],
  ] as const) {
    test(`of PostgreSQL ${major} is read the same in pieces of any size`, () => {
      const bytes = dump(`postgres-${major}`);
      for (const pieceBytes of [1, 7, 4096, bytes.length]) {
        const { toc, counts } = readIn(bytes, pieceBytes);
        expect(toc).toMatchObject({ format, isCompressed: false, database: 'app' });
        expect(toc.serverVersion).toMatch(new RegExp(`^${major}\\.`));
        const rows = toc.entries.flatMap(({ id, tag }) =>
          counts.rows.has(id) ? [[tag, counts.rows.get(id)]] : [],
        );
        expect(Object.fromEntries(rows)).toEqual({ items: 3, empty: 0, part1: 1 });
        expect(counts.largeObjects).toBe(2);
        const numbers = noCounts();
        addDump(numbers, toc, counts);
        expect(numbers).toEqual({ databases: 1, tables: 4, rows: 4, large_objects: 2, extensions: 0 });
      }
    });

    test(`of PostgreSQL ${major} that is cut anywhere is found`, () => {
      const bytes = dump(`postgres-${major}`);
      for (let length = 0; length < bytes.length; length += 1) {
        expect(() => readIn(bytes.subarray(0, length), 4096), `${length} bytes`).toThrow(
          /is not a whole dump/,
        );
      }
    });
  }

  test('with something behind its end is found', () => {
    expect(() => readIn(Buffer.concat([dump('postgres-17'), Buffer.from([9])]), 4096)).toThrow(
      /not a whole dump/,
    );
    expect(() => readIn(Buffer.concat([dump('postgres-17'), Buffer.alloc(64, 9)]), 4096)).toThrow(
      /unknown type 9/,
    );
  });

  test('without the data of one table is found: the block is missing', () => {
    const bytes = dump('postgres-17');
    const start = bytes.indexOf(Buffer.from('1\tone\n')) - 11;
    const end = bytes.indexOf(Buffer.from('\\.\n\n\n'), start) + 10;
    expect(() => readIn(Buffer.concat([bytes.subarray(0, start), bytes.subarray(end)]), 4096)).toThrow(
      /the data of table "s.items" is missing/,
    );
  });

  test('that loses rows is found by their number, not by its form', () => {
    const bytes = dump('postgres-17');
    const row = Buffer.from('1\tone\n');
    const at = bytes.indexOf(row) - 5;
    const { toc, counts } = readIn(
      Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 5 + row.length)]),
      4096,
    );
    const found = noCounts();
    addDump(found, toc, counts);
    expect(differences(found, { rows: 4, tables: 4 })).toEqual(['rows: expected 4, found 3']);
  });

  test('that is compressed is walked, and its rows are not counted', () => {
    const { toc, counts } = readIn(dump('postgres-17-gzip'), 4096);
    expect(toc.isCompressed).toBe(true);
    expect(counts.rows.size).toBe(0);
    expect(counts.largeObjects).toBe(2);
  });

  test('of another kind is refused', () => {
    expect(() => readIn(Buffer.from('-- PostgreSQL database dump\n'), 4096)).toThrow(
      /does not start with "PGDMP"/,
    );
    expect(() => readIn(Buffer.from('PGDMP\x01\x09\x00\x04\x08\x01 old'), 4096)).toThrow(
      /format 1.9 is not known/,
    );
    expect(() => readIn(Buffer.from('PGDMP\x01\x10\x00\x04\x08\x03 tar'), 4096)).toThrow(
      /not of the custom format/,
    );
  });

  test('whatever bytes come, is read or refused, and nothing else', () => {
    const bytes = dump('postgres-17');
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ flip;
        try {
          readIn(changed, 1000);
        } catch (error) {
          expect((error as PkbackupError).code).toBe('bad_backup');
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('the properties of a database', () => {
  const toc = (name: string): Toc => readIn(dump(name), 4096).toc;

  test('are given to a database of another name', () => {
    const sql = databaseProperties(toc('postgres-17'), 'a"b; x');
    expect(sql).toContain(`COMMENT ON DATABASE "a""b; x" IS 'it''s';`);
    expect(sql).toContain(`ALTER DATABASE "a""b; x" SET work_mem TO '8MB';`);
    expect(sql).toContain('GRANT CONNECT ON DATABASE "a""b; x" TO pg_monitor;');
    expect(sql).not.toMatch(/\bapp\b/);
  });

  test('say how it was created, in the default tablespace where the other is not there', () => {
    const good = toc('postgres-17');
    expect(createDatabase(good, 'b', new Set())).toMatch(
      /^CREATE DATABASE "b" WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc .* OWNER = "postgres"$/,
    );
    const sql = `CREATE DATABASE app WITH TEMPLATE = template0 ENCODING = 'UTF8' TABLESPACE = "fast disk";\n`;
    const moved = { ...good, entries: [{ ...good.entries[0]!, type: 'DATABASE', owner: '', sql }] };
    expect(createDatabase(moved, 'b', new Set(['fast disk']))).toContain('TABLESPACE = "fast disk"');
    expect(createDatabase(moved, 'b', new Set())).not.toContain('TABLESPACE');
  });

  test('are refused where the archive has other statements there', () => {
    const good = toc('postgres-17');
    for (const sql of [
      'DROP TABLE x;',
      "ALTER SYSTEM SET archive_command = 'rm';",
      'COMMENT ON TABLE x IS NULL;',
      '\\! touch /tmp/x\n',
      "ALTER DATABASE app SET a TO 'b';\n\\! touch /tmp/x\n;",
      "ALTER DATABASE app SET a TO 'b' \\gexec",
    ]) {
      const bad = { ...good, entries: [{ ...good.entries[0]!, type: 'DATABASE PROPERTIES', sql }] };
      expect(() => databaseProperties(bad, 'b'), sql).toThrow();
    }
  });
});

describe('roles', () => {
  const globals = `--
-- PostgreSQL database cluster dump
--

\\restrict abc

SET standard_conforming_strings = on;
CREATE ROLE keeper;
ALTER ROLE keeper WITH SUPERUSER PASSWORD 'SCRAM-SHA-256$4096:old';
CREATE ROLE "we""ird; role";
ALTER ROLE "we""ird; role" WITH LOGIN PASSWORD 'SCRAM-SHA-256$4096:x''y\\';
COMMENT ON ROLE "we""ird; role" IS E'a\\'; DROP ROLE keeper; --';
ALTER ROLE "we""ird; role" SET search_path TO 'public';
ALTER ROLE "we""ird; role" IN DATABASE app SET work_mem TO '1MB';
GRANT keeper TO "we""ird; role" WITH INHERIT TRUE GRANTED BY keeper;
GRANT pg_monitor TO keeper;
GRANT SET ON PARAMETER work_mem TO "we""ird; role";
CREATE TABLESPACE fast OWNER keeper LOCATION '/fast';
\\unrestrict abc

--
-- PostgreSQL database cluster dump complete
--
`;

  test('that are missing are made with all they have, and the others are left alone', () => {
    const { names, sql } = missingRoles(globals, new Set(['keeper']));
    expect(names).toEqual(['we"ird; role']);
    const lines = sql.trim().split('\n');
    expect(lines).toHaveLength(6);
    expect(lines[1]).toContain(`PASSWORD 'SCRAM-SHA-256$4096:x''y\\'`);
    expect(sql).not.toContain('ALTER ROLE keeper');
    expect(sql).not.toContain('IN DATABASE');
    expect(sql).not.toContain('pg_monitor');
    expect(sql).not.toContain('TABLESPACE');
  });

  test('are none where all are there', () => {
    expect(missingRoles(globals, new Set(['keeper', 'we"ird; role']))).toEqual({ names: [], sql: '' });
  });

  test('of a file that is cut are not taken', () => {
    expect(() => assertWholeGlobals(globals)).not.toThrow();
    expect(() => assertWholeGlobals(globals.slice(0, -60))).toThrow(/does not end/);
    expect(() => assertWholeGlobals('')).toThrow(/does not end/);
  });

  test('cannot smuggle a command of psql in', () => {
    for (const sql of [
      'CREATE ROLE x; \\! id\n',
      'CREATE ROLE x \\g | id\n;',
      "CREATE ROLE x PASSWORD 'a\\' \\! id';",
    ]) {
      expect(() => readStatements(sql), sql).toThrow(/cannot be read/);
    }
  });
});

describe('names', () => {
  test('of databases survive as names of files, whatever they are', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ unit: 'binary', minLength: 1 }), { maxLength: 8 }), (all) => {
        const names = all.filter((name) => !/[\0\uFFFD]/.test(name) && Buffer.byteLength(name) <= 63);
        const files = fileNames(names);
        for (const name of names) {
          const file = files.get(name) ?? '';
          expect(databaseOf(file)).toBe(name);
          expect(file).toMatch(/^[A-Za-z0-9_%-][A-Za-z0-9._%-]*\.dump$/);
          expect(Buffer.byteLength(file)).toBeLessThan(255);
        }
        const folded = [...files.values()].map((file) => file.toLowerCase());
        expect(new Set(folded).size).toBe(names.length);
      }),
    );
  });

  test('stay readable where they can', () => {
    expect(Object.fromEntries(fileNames(['app', 'App', 'my-db_2', 'a/b', 'über', '..', 'con']))).toEqual({
      app: 'app.dump',
      App: '%41pp.dump',
      'my-db_2': 'my-db_2.dump',
      'a/b': 'a%2Fb.dump',
      über: '%C3%BCber.dump',
      '..': '%2E..dump',
      con: '%63on.dump',
    });
  });

  test('of files that are no dumps are refused', () => {
    for (const name of [
      '../app.dump',
      'a/b.dump',
      'app.sql',
      '.dump',
      '%zz.dump',
      'a\nb.dump',
      `${'a'.repeat(64)}.dump`,
      '%FF.dump',
    ]) {
      expect(() => databaseOf(name), name).toThrow(/is not the name of a dump/);
    }
  });

  test('beside are short enough for PostgreSQL, and known as ours', () => {
    for (const name of ['app', 'ü'.repeat(31), '漢'.repeat(21), 'x'.repeat(63)]) {
      const own = ownNameFor(name, 'previous', '0123abcd', 12);
      expect(Buffer.byteLength(own)).toBeLessThanOrEqual(63);
      expect(own).not.toContain('\uFFFD');
      expect(isOwn({ name: own })).toBe(true);
    }
    expect(isOwn({ name: 'app' })).toBe(false);
  });

  test('are one value for libpq, not settings', () => {
    expect(conninfo(`a' host='evil\\`)).toBe(`dbname='a\\' host=\\'evil\\\\'`);
  });
});

describe('--to', () => {
  const target = { container: 'pg', user: 'keeper' };

  /** What --to leads to is no setting: a journal or a schema that sees the target does not see it. */
  const besideOf = (to: string) => {
    const moved: object = postgres.retarget(target, to);
    const symbols = Object.getOwnPropertySymbols(moved) as (keyof typeof moved)[];
    return [JSON.parse(JSON.stringify(moved)), ...symbols.map((symbol) => moved[symbol])];
  };

  test('names a database beside, chooses one of several, or another server', () => {
    expect(besideOf('copy')).toEqual([target, { name: 'copy' }]);
    expect(besideOf('app=copy')).toEqual([target, { original: 'app', name: 'copy' }]);
    expect(besideOf('container:other')).toEqual([{ ...target, container: 'other' }, {}]);
    expect(() => postgres.retarget(undefined, 'copy')).toThrow(/does not say in which server/);
  });
});

describe('the content level without Docker', () => {
  const globals =
    '-- PostgreSQL database cluster dump\n--\n-- PostgreSQL database cluster dump complete\n--\n';
  const tarOf = (files: Record<string, Buffer | string>) =>
    Buffer.concat([
      ...Object.entries(files).flatMap(([name, content]) => {
        const size = Buffer.byteLength(content);
        const entry = {
          path: Buffer.from(name),
          type: 'file',
          size,
          mode: 0o600,
          uid: 0,
          gid: 0,
          mtime: 0,
        } as const;
        return [encodeEntry(entry), Buffer.from(content as string), padding(size)];
      }),
      endOfArchive,
    ]);
  const counts = { databases: 1, tables: 4, rows: 4, large_objects: 2, extensions: 0 };
  const check = async (tar: Buffer, expected = counts) => {
    const { PkbackupError } = await import('../../src/errors.ts');
    const unreachable = () => Promise.reject(new PkbackupError('docker_unreachable', 'no Docker'));
    const backup = { kind: 'postgres' as const, store: 'rows', source: { image: 'x' }, counts: expected };
    const tarOf = async function* () {
      for (let at = 0; at < tar.length; at += 1000) yield tar.subarray(at, at + 1000);
    };
    return postgres.check!({ tar: tarOf }, backup, makeContext({ docker: unreachable }));
  };

  test('passes what is whole, and says what was not done', async () => {
    const report = await check(tarOf({ 'globals.sql': globals, 'app.dump': dump('postgres-17') }));
    expect(report).toEqual({
      findings: [],
      counts,
      notChecked: ['pg_restore has not read the dumps: Docker is not reachable'],
    });
  });

  test('finds a dump that was made without the data of one table', async () => {
    const report = await check(tarOf({ 'globals.sql': globals, 'app.dump': dump('postgres-17') }), {
      ...counts,
      rows: 5,
    });
    expect(report.findings).toEqual(['rows: expected 5, found 4']);
  });

  test('finds a cut dump, missing roles, and files that do not belong there', async () => {
    const bytes = dump('postgres-17');
    expect((await check(tarOf({ 'app.dump': bytes.subarray(0, -40) }))).findings).toEqual([
      expect.stringMatching(/the dump of database "app" is not a whole dump: it ends in the middle of/),
      '"globals.sql" is missing',
    ]);
    const { findings } = await check(
      tarOf({ 'globals.sql': globals, 'app.dump': bytes, 'run.sh': 'rm -rf /' }),
    );
    expect(findings).toEqual(['"run.sh" is not the name of a dump']);
    expect((await check(tarOf({ 'globals.sql': globals }))).findings).toContain(
      'databases: expected 1, found 0',
    );
  });
});
