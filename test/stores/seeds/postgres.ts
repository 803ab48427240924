// PostgreSQL for the conformance suite: two databases, pgvector, a large object, a role with a password, settings and grants.
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { bytesOf, docker } from '../../docker/bed.ts';
import type { Seed, Subject, Writer } from '../conformance.ts';
import type { ServerContainer } from '../fixtures/containers.ts';
import { type PostgresClient, PostgresError } from '../fixtures/postgres-client.ts';
import {
  ask,
  clientOf,
  environment,
  fingerprintOf,
  password,
  run,
  startPostgres,
  target,
  user,
} from '../fixtures/postgres-server.ts';

const writerTable = 'public.written';

export const postgres: Seed = {
  kind: 'postgres',
  images: ['postgres'],
  whenStopped: 'refused',
  planted: ({ containers: [id = ''] }) => [
    {
      what: 'a dump without the rows of one table',
      edit: async (files) => void files.set('app.dump', await dumpWithoutRows(id)),
      foundBy: 'content',
      finding: /rows: expected \d+, found \d+/,
    },
    {
      what: 'another text in a row',
      edit: (files) => {
        const dump = Buffer.from(files.get('app.dump') ?? []);
        dump.write('0'.repeat(32), dump.indexOf(createHash('md5').update('17').digest('hex')));
        files.set('app.dump', dump);
      },
      foundBy: 'drill',
      finding: /^table "public\.items" of database "app": its rows are not what they were$/,
    },
  ],
  start: async () => subjectOf(await startPostgres()),
};

export function subjectOf(server: ServerContainer): Subject {
  const { id } = server;
  return {
    target: target(server),
    environment,
    containers: [id],
    fill: (scale) => fill(id, scale),
    fingerprint: () => fingerprint(id),
    startWriter: async () => new PostgresWriter(id),
    items: () => itemsIn(id, 'app'),
    async destroy() {
      await run(
        id,
        ['DROP DATABASE app WITH (FORCE)', 'CREATE DATABASE app', 'DROP DATABASE notes WITH (FORCE)'],
        'postgres',
      );
    },
    wrong: () => [
      {
        what: 'a wrong password',
        target: { ...target(server), password_env: 'WRONG_PASSWORD' },
        environment: { WRONG_PASSWORD: 'not the secret' },
        code: 'config',
        message: /refuses user "keeper": password authentication failed/,
        secret: 'not the secret',
      },
      {
        what: 'no password',
        target: { container: server.name, user: 'guest' },
        code: 'config',
        message: /wants a password of user "guest"/,
      },
      {
        what: 'a password that is not set',
        target: { ...target(server), password_env: 'NOT_SET_ANYWHERE' },
        code: 'config',
        message: /"NOT_SET_ANYWHERE" is not set/,
      },
      {
        what: 'a wrong user',
        target: { ...target(server), user: 'nobody' },
        code: 'config',
        message: /refuses user "nobody"/,
        secret: password,
      },
      {
        what: 'a container that is not there',
        target: { container: `${server.name}x` },
        code: 'not_found',
        message: /container ".*x" is not there/,
      },
      {
        what: 'a database that is not there',
        target: { ...target(server), databases: ['app', 'apple'] },
        code: 'not_found',
        message: /there is no database "apple"/,
      },
    ],
    async beside() {
      const name = `copy_${Date.now()}`;
      return {
        to: `app=${name}`,
        open: async () => ({
          fingerprint: async () => (await fingerprint(id, name)).replaceAll(name, 'app'),
          items: () => itemsIn(id, name),
        }),
      };
    },
    names: () => ask(id, 'SELECT datname FROM pg_database', 'postgres'),
  };
}

/** As pg_dump makes it for somebody who leaves the rows of a table out. */
async function dumpWithoutRows(id: string): Promise<Buffer> {
  const flags = ['-Fc', '-Z0', '--exclude-table-data=items', '-h', '127.0.0.1', '-U', user];
  return bytesOf((await docker()).execStream(id, { command: ['pg_dump', ...flags, 'app'] }));
}

async function fill(id: string, scale: number): Promise<void> {
  await run(id, [
    `CREATE ROLE reader LOGIN PASSWORD 'secret of the reader'`,
    'CREATE EXTENSION vector',
    'CREATE TABLE items (id int PRIMARY KEY, embedding vector(8), body text NOT NULL, tags jsonb)',
    `INSERT INTO items SELECT g, (SELECT array_agg(sin(g * i)) FROM generate_series(1, 8) i)::vector, md5(g::text),
      jsonb_build_object('n', g) FROM generate_series(1, ${5000 * scale}) g`,
    'CREATE INDEX ON items (body)',
    'ALTER TABLE items OWNER TO reader',
    `CREATE TABLE ${writerTable} (n int PRIMARY KEY)`,
    `SELECT lo_from_bytea(4711, decode(repeat('ab', 100000), 'hex'))`,
    `ALTER DATABASE app SET work_mem = '8MB'`,
    `COMMENT ON DATABASE app IS 'rows of the app'`,
    'GRANT TEMPORARY ON DATABASE app TO reader',
    'CREATE DATABASE notes OWNER reader',
  ]);
  await run(id, [`CREATE TABLE notes (t text)`, `INSERT INTO notes VALUES ('one'), ('two')`], 'notes');
}

/** Of both databases, or of a copy of one; "" where there is none any more. */
async function fingerprint(id: string, app = 'app'): Promise<string> {
  const names = await ask(id, 'SELECT datname FROM pg_database', 'postgres');
  const parts = await Promise.all(
    [app, 'notes'].map((name) =>
      names.includes(name) ? fingerprintOf(id, name, [writerTable, 'written']) : '',
    ),
  );
  const roles = await ask(
    id,
    `SELECT rolname || ' ' || coalesce(rolpassword, '') FROM pg_authid ORDER BY 1`,
    'postgres',
  );
  return [...parts, ...roles].join('\n');
}

async function itemsIn(id: string, database: string): Promise<number[]> {
  return (await ask(id, `SELECT n FROM ${writerTable}`, database)).map(Number);
}

/** Goes on from what is there, also where the table went back in time, and comes back when it was disconnected. */
class PostgresWriter implements Writer {
  #acknowledged = 0;
  #isStopped = false;
  readonly #running: Promise<void>;

  constructor(id: string) {
    this.#running = this.#write(id);
    this.#running.catch(() => undefined);
  }

  acknowledged(): number {
    return this.#acknowledged;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async #write(id: string): Promise<void> {
    let client: PostgresClient | undefined;
    try {
      while (!this.#isStopped) {
        client ??= await clientOf(id);
        if (this.#acknowledged === 0) {
          this.#acknowledged = Number(await client.value(`SELECT coalesce(max(n), 0) FROM ${writerTable}`));
        }
        await client.query(`INSERT INTO ${writerTable} VALUES (${this.#acknowledged + 1})`);
        this.#acknowledged += 1;
        await sleep(1);
      }
    } catch (error) {
      if (error instanceof PostgresError) throw error;
      throw new Error('the writer was disconnected', { cause: error });
    } finally {
      client?.[Symbol.dispose]();
    }
  }
}
