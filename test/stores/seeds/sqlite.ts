import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll } from 'vitest';
import type { Seed } from '../conformance.ts';
import { rewritten, tornPage } from '../planted-damage.ts';
import { startWriter } from '../sqlite-live.ts';

const directories: string[] = [];
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

export const sqlite: Seed = {
  kind: 'sqlite',
  planted: () => [
    { what: 'a torn page', edit: tornPage('events.db'), foundBy: 'content', finding: /malformed|Tree|page/ },
    {
      what: 'a row that is gone, in a sound database',
      edit: rewritten('events.db', 'DELETE FROM events WHERE id = 4000'),
      foundBy: 'content',
      finding: /events: expected 20000, found 19999/,
    },
  ],
  async start() {
    const directory = mkdtempSync(join(tmpdir(), 'pkbackup-sqlite-'));
    directories.push(directory);
    const path = join(directory, 'events.db');
    run(path, 'PRAGMA journal_mode = wal');
    return {
      target: { path },
      containers: [],
      async fill(scale) {
        run(
          path,
          `CREATE TABLE events (id INTEGER PRIMARY KEY, body TEXT, at REAL);
           CREATE INDEX events_by_at ON events (at);
           CREATE VIRTUAL TABLE words USING fts5 (body);
           WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${scale * 20_000})
             INSERT INTO events SELECT i * 2, 'event number ' || i, i / 7.0 FROM n;
           INSERT INTO words SELECT body FROM events WHERE id < 1000;
           PRAGMA user_version = 42`,
        );
      },
      async startWriter() {
        run(path, 'DROP TABLE IF EXISTS commits; DROP TABLE IF EXISTS twins');
        const writer = startWriter(path, 'wal');
        return {
          acknowledged: () => writer.acknowledged.at(-1)?.id ?? 0,
          stop: async () => writer[Symbol.asyncDispose](),
        };
      },
      ...reader(path),
      async destroy() {
        for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true });
      },
      wrong: () => [
        {
          what: 'a path that is not there',
          target: { path: `${path}x` },
          code: 'not_found',
          message: /events\.dbx" is not there/,
        },
        {
          what: 'a directory',
          target: { path: directory },
          code: 'not_found',
          message: /is a directory, expected an SQLite database/,
        },
      ],
      async beside() {
        const to = join(directory, 'beside', 'events.db');
        return { to, open: async () => reader(to) };
      },
      names: async () => readdirSync(directory),
    };
  },
};

function reader(path: string) {
  return {
    fingerprint: async () =>
      ask(path, [
        'SELECT count(*), sum(id), sum(at), min(body), max(body) FROM events',
        `SELECT count(*) FROM words WHERE words MATCH 'number'`,
        'PRAGMA user_version',
        'PRAGMA integrity_check',
      ]),
    items: async () =>
      (JSON.parse(ask(path, ['SELECT id FROM commits'])) as { id: number }[][]).flat().map(({ id }) => id),
  };
}

function run(path: string, sql: string): void {
  using database = opened(path);
  database.exec(sql);
}

/** What is not there is told, not thrown. */
function ask(path: string, queries: readonly string[]): string {
  const answers = queries.map((sql) => {
    try {
      using database = opened(path, true);
      return database.prepare(sql).all();
    } catch {
      return [];
    }
  });
  return JSON.stringify(answers);
}

function opened(path: string, readOnly = false): DatabaseSync & Disposable {
  const database = new DatabaseSync(path, { timeout: 10_000, readOnly });
  return Object.assign(database, { [Symbol.dispose]: () => database.close() });
}
