// PostgreSQL without Docker: a server of this host with the tools of this host, by its URL, its address and its socket; and
// between it and servers in containers, both ways.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ConfiguredStore } from '../../src/config/types.ts';
import type { Event } from '../../src/events.ts';
import { backup } from '../../src/operations/backup.ts';
import { restore } from '../../src/operations/restore.ts';
import { verify } from '../../src/operations/verify.ts';
import { storeOf } from '../../src/stores/index.ts';
import { image, requireTestbed } from '../../testbed/index.ts';
import { makeRun, type RunFixture } from '../operations/run-fixture.ts';
import { backedUp, restoreOptions } from './conformance.ts';
import { portOf } from './fixtures/containers.ts';
import { type HostPostgres, password, startHostPostgres } from './fixtures/postgres-host.ts';
import {
  environment as containerEnvironment,
  target as containerTarget,
  fingerprintBy,
  fingerprintOf,
  port,
  run as runIn,
  startPostgres,
} from './fixtures/postgres-server.ts';

let host: HostPostgres;

beforeAll(async () => {
  await requireTestbed('postgres', 'postgres15');
  host = await startHostPostgres();
});
afterAll(() => host?.[Symbol.asyncDispose]());

const store = (target: object, name = 'subject'): ConfiguredStore => ({
  name,
  kind: 'postgres',
  target: storeOf('postgres').schema.parse(target),
});

const url = (user = 'keeper', word = password) =>
  `postgresql://${user}:${encodeURIComponent(word)}@127.0.0.1:${host.port}/postgres?sslmode=disable`;

function runFor(fixture: RunFixture, more: Record<string, string> = {}): RunFixture['run'] {
  const environment = {
    ...host.environment,
    ...containerEnvironment,
    PG_URL: url(),
    HOST_PASSWORD: password,
    ...more,
  };
  return { ...fixture.run, environment };
}

/** Nothing of the test bed's: no Docker is asked for. */
function withoutDocker(run: RunFixture['run']): RunFixture['run'] {
  return { ...run, docker: () => Promise.reject(new Error('Docker was asked for')) };
}

const fillSql = [
  `DROP ROLE IF EXISTS reader`,
  `CREATE ROLE reader LOGIN PASSWORD 'secret of the reader'`,
  'CREATE TABLE items (id int PRIMARY KEY, body text NOT NULL, tags jsonb)',
  `INSERT INTO items SELECT g, md5(g::text), jsonb_build_object('n', g) FROM generate_series(1, 5000) g`,
  'CREATE INDEX ON items (body)',
  'ALTER TABLE items OWNER TO reader',
  `SELECT lo_from_bytea(4711, decode(repeat('ab', 100000), 'hex'))`,
];

async function ask(sql: string, database = 'postgres'): Promise<string[]> {
  using client = await host.client(database);
  return (await client.query(sql)).map(([first]) => first ?? '');
}

async function makeDatabase(name: string): Promise<void> {
  await ask(`CREATE DATABASE ${name} OWNER keeper TEMPLATE template0`);
  using client = await host.client(name);
  const hasReader = (await client.query(`SELECT FROM pg_roles WHERE rolname = 'reader'`)).length > 0;
  for (const sql of fillSql.slice(hasReader ? 2 : 0)) await client.query(sql);
}

async function fingerprint(name: string): Promise<string> {
  using client = await host.client(name);
  return await fingerprintBy(client);
}

const left = () =>
  ask(`SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'pkbackup-%'`);
const names = () => ask(`SELECT datname FROM pg_database WHERE datname LIKE '%pkbackup%'`);

test.each([
  ['by its URL', () => ({ url_env: 'PG_URL' })],
  [
    'by its address',
    () => ({ host: '127.0.0.1', port: host.port, user: 'keeper', password_env: 'HOST_PASSWORD' }),
  ],
  [
    'by its socket',
    () => ({ host: host.socket, port: host.port, user: 'keeper', password_env: 'HOST_PASSWORD' }),
  ],
])('a server of this host is saved and comes back %s, without Docker', async (how, reached) => {
  using fixture = makeRun();
  const run = withoutDocker(runFor(fixture));
  const name = `app_${how.at(-1)?.toLowerCase()}`;
  await makeDatabase(name);
  const before = await fingerprint(name);
  const subject = store({ ...reached(), tools: host.tools, databases: [name] });
  const made = await backedUp(run, subject);
  expect(made.metadata).toMatchObject({
    databases: [name],
    counts: { databases: 1, tables: 1, rows: 5000, large_objects: 1 },
    source: { url: expect.stringMatching(/^postgresql:\/\//) },
  });
  const { backups } = await verify(run, { backups: [], level: 'content' });
  expect(backups[0]).toMatchObject({ ok: true, findings: [] });

  await ask('DELETE FROM items WHERE id > 7', name);
  const result = await restore(run, restoreOptions(subject));
  expect(await fingerprint(name)).toBe(before);
  expect(result.safetyBackup?.metadata).toMatchObject({ counts: { rows: 7 } });
  await restore(run, { ...restoreOptions(subject), to: `${name}_copy` });
  expect((await fingerprint(`${name}_copy`)).replaceAll(`${name}_copy`, name)).toBe(before);
  expect([await left(), await names()]).toEqual([[], []]);
  const said = JSON.stringify([fixture.events, (await run.repository.list()).backups]);
  for (const secret of [password, encodeURIComponent(password)]) expect(said).not.toContain(secret);
});

test('from this host to a container and back', async () => {
  using fixture = makeRun();
  const run = runFor(fixture);
  await makeDatabase('travels');
  const before = await fingerprint('travels');
  const onHost = store({ url_env: 'PG_URL', tools: host.tools, databases: ['travels'] });
  await backedUp(run, onHost);
  // Of the same version, so that it can come back.
  const container = await startPostgres({ image: image[host.major === 15 ? 'postgres15' : 'postgres'] });
  const inContainer = store({ ...containerTarget(container), databases: ['travels'] }, 'inside');
  await runIn(container.id, ['CREATE DATABASE travels']);
  await restore(run, { ...restoreOptions(inContainer), store: 'inside' });
  const there = await fingerprintOf(container.id, 'travels');
  expect(rowsOf(there)).toBe(rowsOf(before));

  await runIn(container.id, ['CREATE TABLE more (n int)', 'INSERT INTO more VALUES (1), (2)'], 'travels');
  const changed = await fingerprintOf(container.id, 'travels');
  await backedUp(run, inContainer);
  await ask('DROP TABLE items', 'travels');
  await restore(run, { ...restoreOptions(onHost), backup: 'inside@latest', store: 'subject' });
  expect(rowsOf(await fingerprint('travels'))).toBe(rowsOf(changed));
  expect([await left(), await names()]).toEqual([[], []]);
});

/** Without the line of the database itself: its locale is the one of its server. */
const rowsOf = (lines: string): string =>
  lines
    .split('\n')
    .filter((line) => !line.startsWith('database |'))
    .join('\n');

test('a backup that is broken off leaves no session', async () => {
  using fixture = makeRun();
  await makeDatabase('cut');
  const emit = (event: Event) => {
    if (event.type === 'step' && event.message.includes('dumping')) fixture.stop.abort();
  };
  const run = { ...withoutDocker(runFor(fixture)), emit };
  const stores = [store({ url_env: 'PG_URL', tools: host.tools, databases: ['cut'] })];
  await expect(backup(run, { stores })).rejects.toMatchObject({ code: 'interrupted' });
  await expect.poll(left, { timeout: 30_000 }).toEqual([]);
  expect((await run.repository.list()).backups).toEqual([]);
});

test('what cannot be is refused in one line that helps, and tells no secret', async () => {
  const newer = await startPostgres({ image: image.postgres });
  const at = { host: '127.0.0.1', port: host.port, user: 'keeper', tools: host.tools };
  const published = Number(await portOf(newer.id, port));
  const cases = [
    [
      { ...at, password_env: 'BAD' },
      'config',
      /refuses user "keeper": password authentication failed/,
      /password_env/,
    ],
    [{ ...at }, 'config', /wants a password of user "keeper"/, /password_env/],
    [{ ...at, port: 1, password_env: 'BAD' }, 'backup_failed', /refused/, /host and port/],
    [
      { ...at, tools: '/nowhere/at/all', password_env: 'HOST_PASSWORD' },
      'backup_failed',
      /there is no psql/,
      /tools/,
    ],
    [
      { url_env: 'NO_URL', tools: host.tools },
      'config',
      /"NO_URL" holds no URL of a PostgreSQL server/,
      /postgresql:\/\//,
    ],
    [{ url_env: 'ODD_URL', tools: host.tools }, 'config', /parameter "options"/, /sslmode/],
    ...(host.major < 17
      ? [
          [
            { ...at, port: published },
            'backup_failed',
            /pg_dump 15\..* is older than its server, PostgreSQL 17/,
            /tools/,
          ] as const,
        ]
      : []),
  ] as const;
  for (const [target, code, message, hint] of cases) {
    using fixture = makeRun();
    const secrets = {
      BAD: 'not the password',
      NO_URL: 'mysql://u:sesame-open@x',
      ODD_URL: `${url()}&options=-c%20x`,
    };
    const run = withoutDocker(runFor(fixture, secrets));
    const { stores } = await backup(run, { stores: [store(target)] });
    const [result] = stores;
    if (result?.ok !== false) throw new Error(`it was taken: ${message}`);
    const { error } = result;
    expect(error).toMatchObject({
      code,
      message: expect.stringMatching(message),
      hint: expect.stringMatching(hint),
    });
    const said = JSON.stringify([error.message, error.hint, fixture.events]);
    for (const secret of [password, 'not the password', 'sesame-open']) expect(said).not.toContain(secret);
  }
});

test('a dump of a newer server is not restored with older tools', async () => {
  using fixture = makeRun();
  const run = runFor(fixture);
  const newer = await startPostgres({ image: image.postgres });
  await runIn(newer.id, ['CREATE TABLE t (n int)']);
  await backedUp(run, store({ ...containerTarget(newer), databases: ['app'] }));
  const onHost = store({ url_env: 'PG_URL', tools: host.tools });
  const restoring = restore(run, restoreOptions(onHost));
  // The tools of this host are those of its release.
  if (host.major >= 17) await restoring;
  else {
    await expect(restoring).rejects.toMatchObject({
      code: 'restore_failed',
      message: expect.stringMatching(/is of PostgreSQL 17.*which pg_restore 15/),
    });
  }
  expect(await names()).toEqual([]);
});
