// A ChromaDB that is reached by its URL alone, saved and restored through its API: real servers of both lines, which are killed
// meanwhile, refuse, or are written to.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import type { ConfiguredStore } from '../../src/config/types.ts';
import type { Event } from '../../src/events.ts';
import { backup } from '../../src/operations/backup.ts';
import { drill } from '../../src/operations/drill.ts';
import { restore } from '../../src/operations/restore.ts';
import { verify } from '../../src/operations/verify.ts';
import { image, requireTestbed } from '../../testbed/index.ts';
import { makeDirectory, pkbackup } from '../cli/program.ts';
import { containerOf, docker, throwawaysLeft } from '../docker/bed.ts';
import { makeRun, type RunFixture } from '../operations/run-fixture.ts';
import { backedUp, restoreOptions } from './conformance.ts';
import {
  addRecords,
  call,
  type EveryRecord,
  everyRecord,
  expectSameRecords,
  fromV1,
  killAndStart,
  listCollections,
  makeCollection,
  makeDatabase,
  type RemoteChroma,
  startGateway,
  startRemote,
  type Where,
} from './fixtures/remote-chroma.ts';
import { resealed } from './reseal.ts';

let young: RemoteChroma;
let other: RemoteChroma;
let old: RemoteChroma;

beforeAll(async () => {
  await requireTestbed('chromadb', 'chromadb06');
  [young, other, old] = await Promise.all([
    startRemote('chromadb'),
    startRemote('chromadb'),
    startRemote('chromadb06'),
  ]);
});

const storeAt = (target: object, name = 'subject'): ConfiguredStore => ({ name, kind: 'chromadb', target });
const failureOf = async (run: RunFixture['run'], target: object) => {
  const { stores } = await backup(run, { stores: [storeAt(target)] });
  const [result] = stores;
  if (result?.ok !== false) throw new Error('it was taken');
  return result.error;
};

let databases = 0;
/** One of its own for each test: the servers are shared. */
async function freshDatabase(remote: RemoteChroma, tenant?: string): Promise<Where & { database: string }> {
  databases += 1;
  const where = { ...(tenant === undefined ? {} : { tenant }), database: `database${databases}` };
  await makeDatabase(remote, where);
  return where;
}

const shapes = [
  { name: 'flat', dimension: 3, metadata: undefined },
  {
    name: 'angles',
    dimension: 8,
    metadata: '{"hnsw:space":"cosine","hnsw:M":24,"hnsw:construction_ef":120}',
  },
  { name: 'inner', dimension: 16, metadata: '{"hnsw:space":"ip","one":1.0,"big":9007199254740993,"s":"é"}' },
  { name: 'wide', dimension: 384, metadata: '{"owner":"a \\"b\\""}' },
  { name: 'empty', dimension: 4, metadata: undefined },
] as const;

async function fill(remote: RemoteChroma, where: Where, scale = 1): Promise<void> {
  for (const [at, { name, dimension, metadata }] of shapes.entries()) {
    const id = await makeCollection(remote, where, name, metadata ? { metadata } : {});
    const count = name === 'empty' ? 0 : name === 'wide' ? 100 * scale : (500 + at) * scale;
    await addRecords(remote, where, id, { from: 0, count, dimension });
  }
}

async function everything(
  remote: RemoteChroma,
  where: Where,
): Promise<Map<string, EveryRecord & { text: string }>> {
  const found = new Map<string, EveryRecord & { text: string }>();
  for (const { id, name, text } of await listCollections(remote, where)) {
    found.set(name, { text, ...(await everyRecord(remote, where, id)) });
  }
  return found;
}

async function expectSame(
  remote: RemoteChroma,
  where: Where,
  expected: Map<string, EveryRecord & { text: string }>,
  { prefix = '', isSameLine = true } = {},
): Promise<void> {
  const found = await everything(remote, where);
  expect([...found.keys()].filter((name) => name.startsWith(prefix)).toSorted()).toEqual(
    [...expected.keys()].map((name) => `${prefix}${name}`).toSorted(),
  );
  for (const [name, records] of expected) {
    const there = found.get(`${prefix}${name}`);
    if (!there) throw new Error(`${name} is not there`);
    expectSameRecords(there, records);
    if (isSameLine) expect(there.text).toBe(records.text);
    else expect(JSON.parse(there.text).metadata).toEqual(JSON.parse(records.text).metadata);
  }
}

/** What goes wrong once, at the first event that says so. */
function atStep(fixture: RunFixture, said: RegExp, act: () => Promise<void>) {
  let done: Promise<void> | undefined;
  const emit = (event: Event) => {
    fixture.events.push(event);
    if (event.type === 'step' && said.test(event.message)) done ??= act();
  };
  return {
    run: { ...fixture.run, emit },
    ended: async () => await (done ?? Promise.reject(new Error('it never came'))),
  };
}

const messages = ({ events }: RunFixture, type: Event['type']) =>
  events.flatMap((event) => (event.type === type && 'message' in event ? [event.message] : []));

test.each([
  ['0.6.3', '1.x', () => old],
  ['1.x', '1.x', () => young],
] as const)(
  'from %s to %s, both servers killed in the middle: the same in the other server',
  async (from, _to, source) => {
    using fixture = makeRun();
    const where = await freshDatabase(source());
    await fill(source(), where);
    const before = await everything(source(), where);
    const store = storeAt({ url: source().url, databases: [where.database] });

    const reading = atStep(fixture, /reading collection "inner"/, () => killAndStart(source()));
    const made = await backedUp(reading.run, store);
    await reading.ended();
    expect(made.metadata).toMatchObject({
      quiesce: 'none',
      downtime_ms: 0,
      counts: { collections: 5, records: 1603 },
      databases: [`default_tenant/${where.database}`],
      source: { url: source().url, one_moment: false },
      store_version: from === '0.6.3' ? '0.6.3' : '1.0.0',
    });
    expect(messages(fixture, 'warning')).toEqual([]);
    expect(messages(fixture, 'step')).toContainEqual(
      expect.stringMatching(/each collection is of a moment of its own/),
    );
    const { backups } = await verify(fixture.run, { backups: [], level: 'content' });
    expect(backups[0]).toMatchObject({ ok: true, findings: [], notChecked: [] });

    const writing = atStep(fixture, /writing collection "inner"/, () => killAndStart(other));
    const result = await restore(writing.run, { ...restoreOptions(store), to: other.url });
    await writing.ended();
    expect(result.counts).toEqual({ collections: 5, records: 1603 });
    await expectSame(other, where, before, { isSameLine: from !== '0.6.3' });
    expect(await isConfiguredAsBefore(where)).toBe(true);
    await expectSame(source(), where, before);
    // The place holds something now.
    await expect(restore(fixture.run, { ...restoreOptions(store), to: other.url })).rejects.toMatchObject({
      code: 'restore_failed',
      message: expect.stringMatching(/collection "angles" is there already/),
    });
    expect(messages(fixture, 'warning')).toEqual([]);
  },
);

/** Also where another line of servers tells it in other words. */
async function isConfiguredAsBefore(where: Where): Promise<boolean> {
  const { configuration } = JSON.parse((await everything(other, where)).get('angles')?.text ?? '{}');
  const { space, max_neighbors, ef_construction } = configuration.hnsw;
  return space === 'cosine' && max_neighbors.number === '24' && ef_construction.number === '120';
}

test('goes back in place: what was there is kept and can be had back, and what is not in the backup stays', async () => {
  using fixture = makeRun();
  const { run } = fixture;
  const where = await freshDatabase(young, 'acme');
  await fill(young, where);
  const before = await everything(young, where);
  const store = storeAt({ url: young.url, tenants: ['acme'], databases: [where.database] });
  await backedUp(run, store);

  const ids = new Map((await listCollections(young, where)).map(({ name, id }) => [name, id]));
  await addRecords(young, where, ids.get('flat') ?? '', { from: 0, count: 7, dimension: 3, prefix: 'later' });
  await call(young, 'DELETE', `/tenants/acme/databases/${where.database}/collections/angles`);
  await makeCollection(young, where, 'newer');
  const changed = await everything(young, where);

  const result = await restore(run, restoreOptions(store));
  const newer = changed.get('newer');
  if (!newer) throw new Error('there is no collection "newer"');
  await expectSame(young, where, new Map([...before, ['newer', newer]]));
  expect(messages(fixture, 'step')).toContainEqual('not in the backup, and left as they are: "newer"');
  expect(result.safetyBackup?.metadata).toMatchObject({ safety: true, counts: { collections: 4 } });

  await restore(run, { ...restoreOptions(store), backup: 'subject@pre-restore' });
  await expectSame(young, where, new Map([...before, ...changed]));
});

test('beside: under a prefix, and in a database that is made for it', async () => {
  using fixture = makeRun();
  const { run } = fixture;
  const where = await freshDatabase(young);
  await fill(young, where);
  const before = await everything(young, where);
  const store = storeAt({ url: young.url, databases: [where.database] });
  await backedUp(run, store);

  await restore(run, { ...restoreOptions(store), to: 'prefix:old-' });
  await expectSame(young, where, before, { prefix: 'old-' });
  await expect(restore(run, { ...restoreOptions(store), to: 'prefix:old-' })).rejects.toMatchObject({
    code: 'restore_failed',
    message: expect.stringMatching(/collection "old-angles" is there already/),
  });
  await restore(run, { ...restoreOptions(store), to: `database:${where.database}-copy` });
  await expectSame(young, { database: `${where.database}-copy` }, before);
  await expect(restore(run, { ...restoreOptions(store), to: 'somewhere' })).rejects.toMatchObject({
    code: 'usage',
    hint: expect.stringMatching(/--to prefix:TEXT/),
  });
});

test('a restore that fails leaves what was there, and nothing of its own: while it writes, and after the swap', async () => {
  using fixture = makeRun();
  const { run } = fixture;
  const where = await freshDatabase(young);
  await fill(young, where);
  await backedUp(run, storeAt({ url: young.url, databases: [where.database] }));
  const ids = new Map((await listCollections(young, where)).map(({ name, id }) => [name, id]));
  await addRecords(young, where, ids.get('flat') ?? '', { from: 0, count: 7, dimension: 3, prefix: 'later' });
  const before = await everything(young, where);

  let isRenamed = false;
  const failures = {
    'while it writes': (asked: { path: string; body: string }) =>
      asked.path.endsWith('/add') && asked.body.includes('"r501"') ? 400 : undefined,
    'after the swap': (asked: { method: string; path: string }) => {
      isRenamed ||= asked.method === 'PUT';
      return isRenamed && asked.path.endsWith('/get') ? 400 : undefined;
    },
    'in the middle of the swap': (asked: { method: string; body: string }) =>
      asked.method === 'PUT' && asked.body.includes('"inner"') && !asked.body.includes('pkbackup')
        ? 422
        : undefined,
  };
  for (const [when, deal] of Object.entries(failures)) {
    let hasFailed = false;
    await using gateway = await startGateway(young, (asked) => {
      if (hasFailed) return undefined;
      const dealt = deal(asked);
      hasFailed = dealt !== undefined;
      return dealt;
    });
    const target = { url: gateway.url, databases: [where.database] };
    await expect(restore(run, restoreOptions(storeAt(target))), when).rejects.toMatchObject({
      code: 'restore_failed',
      message: expect.stringMatching(/the present data was not touched|the previous data is back in place/),
    });
    expect(hasFailed).toBe(true);
    isRenamed = false;
    await expectSame(young, where, before);
  }
});

test('what changes while it is read is read again, or told', async () => {
  using fixture = makeRun();
  const where = await freshDatabase(young);
  const growing = await makeCollection(young, where, 'growing');
  const shrinking = await makeCollection(young, where, 'shrinking');
  const changing = await makeCollection(young, where, 'changing');
  for (const id of [growing, shrinking, changing]) {
    await addRecords(young, where, id, { from: 0, count: 300, dimension: 4 });
  }
  const path = `/tenants/default_tenant/databases/${where.database}/collections`;
  let grown = 0;
  let changes = 0;
  let isShrunk = false;
  let pending: Promise<unknown> = Promise.resolve();
  // After the first page of each: what follows is of another moment.
  await using gateway = await startGateway(young, ({ path: asked, body }) => {
    if (!asked.endsWith('/get') || !body.includes('"offset":100')) return undefined;
    if (asked.includes(growing)) {
      grown += 1;
      pending = addRecords(young, where, growing, { from: 1000 * grown, count: 5, dimension: 4 });
    } else if (asked.includes(shrinking) && !isShrunk) {
      isShrunk = true;
      pending = call(young, 'POST', `${path}/${shrinking}/delete`, '{"ids":["r3","r4","r5"]}');
    } else if (asked.includes(changing)) {
      changes += 1;
      const update = `{"ids":["r7"],"embeddings":[[1,2,3,4]],"documents":["changed ${changes}"]}`;
      pending = call(young, 'POST', `${path}/${changing}/update`, update);
    }
    return undefined;
  });
  const made = await backedUp(fixture.run, storeAt({ url: gateway.url, databases: [where.database] }));
  await pending;
  const { notes } = made.metadata as { notes?: string[] };
  expect(notes).toContainEqual(expect.stringMatching(/"changing" was changed while it was read, 3 times/));
  expect(notes?.filter((note) => note.includes('shrinking'))).toEqual([]);
  expect(messages(fixture, 'warning')).toEqual(notes);
  // It can be restored all the same.
  const store = storeAt({ url: young.url, databases: [where.database] });
  await restore(fixture.run, { ...restoreOptions(store), to: 'prefix:copy-' });
  const copy = await everything(young, where);
  const shrunk = copy.get('copy-shrinking')?.texts;
  expect(shrunk).toEqual(copy.get('shrinking')?.texts);
  expect(shrunk).toHaveLength(297);
  expect(copy.get('copy-growing')?.texts.slice(0, 300)).toEqual(copy.get('growing')?.texts.slice(0, 300));
});

test('a token goes with every request and into no text; a wrong one is told', async () => {
  const token = 'a-token-that-nobody-guesses';
  const guarded = await startRemote('chromadb06', [
    'CHROMA_SERVER_AUTHN_PROVIDER=chromadb.auth.token_authn.TokenAuthenticationServerProvider',
    `CHROMA_SERVER_AUTHN_CREDENTIALS=${token}`,
    'CHROMA_AUTH_TOKEN_TRANSPORT_HEADER=X-Chroma-Token',
  ]);
  using fixture = makeRun();
  const run = { ...fixture.run, environment: { GOOD: token, BAD: 'another-token-of-nobody' } };
  const target = { url: guarded.url, token_header: 'x-chroma-token' };
  for (const [env, code] of [
    ['BAD', 'config'],
    [undefined, 'config'],
    ['MISSING', 'config'],
  ] as const) {
    const refused = await failureOf(run, { ...target, ...(env && { token_env: env }) });
    expect(refused).toMatchObject({ code, hint: expect.stringMatching(/token_env|MISSING/) });
  }
  const allowed = await backup(run, {
    stores: [storeAt({ ...target, token_env: 'GOOD' })],
    allowEmpty: true,
  });
  expect(allowed.stores[0]).toMatchObject({ ok: true });
  const viaHeader = { url: guarded.url, headers_env: { 'X-Chroma-Token': 'GOOD' } };
  expect((await backup(run, { stores: [storeAt(viaHeader)], allowEmpty: true })).stores[0]).toMatchObject({
    ok: true,
  });
  // The token was given for that server and no other.
  await using gateway = await startGateway(young);
  await restore(run, { ...restoreOptions(storeAt({ ...target, token_env: 'GOOD' })), to: gateway.url });
  expect(gateway.seen.length).toBeGreaterThan(0);
  expect(JSON.stringify(gateway.seen)).not.toContain(token);
  const texts = JSON.stringify([fixture.events, (await run.repository.list()).backups]);
  for (const secret of [token, 'another-token-of-nobody']) expect(texts).not.toContain(secret);
});

test('through v1 of the API, where there is no other', async () => {
  using fixture = makeRun();
  const { run } = fixture;
  const where = await freshDatabase(old);
  await fill(old, where);
  const before = await everything(old, where);
  await using gateway = await startGateway(old, ({ path }) => {
    const to = fromV1(path);
    return to === undefined ? 404 : { to };
  });
  const store = storeAt({ url: gateway.url, databases: [where.database] });
  await backedUp(run, store);
  await call(old, 'DELETE', `/tenants/default_tenant/databases/${where.database}/collections/flat`);
  await restore(run, restoreOptions(store));
  await expectSame(old, where, before);
  await restore(run, { ...restoreOptions(store), to: `database:${where.database}-v1` });
  await expectSame(old, { database: `${where.database}-v1` }, before);
  expect(gateway.seen.some(({ path }) => path.startsWith('/api/v1/collections/'))).toBe(true);
});

test('comes back in a drill, under an image that is named', async () => {
  using fixture = makeRun();
  const { run } = fixture;
  const where = await freshDatabase(old);
  await fill(old, where);
  const store = storeAt({ url: old.url, databases: [where.database] });
  const { metadata } = await backedUp(run, store);
  await expect(drill(run, { backups: [], stores: [store] })).resolves.toMatchObject({
    drills: [{ ok: false, error: { code: 'not_found', hint: 'name one with --image' } }],
  });
  const { drills } = await drill(run, { backups: [], stores: [store], image: image.chromadb });
  expect(drills).toMatchObject([{ ok: true, findings: [], counts: metadata.counts }]);
  expect(await throwawaysLeft()).toEqual([]);
});

test('by hand, with the program that the docs show', async () => {
  using fixture = makeRun();
  const where = await freshDatabase(old);
  await fill(old, where);
  const before = await everything(old, where);
  const { path } = await backedUp(fixture.run, storeAt({ url: old.url, databases: [where.database] }));
  for (const name of before.keys()) {
    await call(old, 'DELETE', `/tenants/default_tenant/databases/${where.database}/collections/${name}`);
  }
  const page = readFileSync(join(import.meta.dirname, '../../docs/stores/chromadb.md'), 'utf8');
  const program = /```python\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
  const inside = await docker();
  const run = (...command: [string, ...string[]]) => inside.exec(old.id, { command, deadlineMs: 120_000 });
  await run('mkdir', '-p', '/tmp/by-hand');
  await containerOf(old.id).putArchive(path, { path: '/tmp/by-hand' });
  const ended = await run('python3', '-c', program, '/tmp/by-hand', 'http://127.0.0.1:8000');
  expect(ended).toMatchObject({ exitCode: 0, stderr: '' });
  await expectSame(old, where, before);
});

test('over TLS, where the authority is known', async () => {
  const where = await freshDatabase(young);
  await makeCollection(young, where, 'one');
  const openssl =
    'openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout /tmp/key -out /tmp/cert 2>/dev/null && cat /tmp/key /tmp/cert';
  const inside = await docker();
  const { stdout } = await inside.exec(old.id, { command: ['sh', '-c', openssl] });
  const pem = stdout.toString('utf8');
  await using gateway = await startGateway(young, undefined, { key: pem, cert: pem });
  const store = `{ kind: chromadb, url: "${gateway.url}", databases: [${where.database}] }`;
  const cwd = makeDirectory({ 'pkbackup.yaml': `stores:\n  far: ${store}\n`, 'authority.pem': pem });
  const refused = await pkbackup(['backup'], { cwd });
  expect(refused).toMatchObject({ exitCode: 4, stderr: expect.stringMatching(/self-signed certificate/) });
  const env = { NODE_EXTRA_CA_CERTS: join(cwd, 'authority.pem') };
  expect(await pkbackup(['backup'], { cwd, env })).toMatchObject({ exitCode: 0 });
});

test('busy, broken and cut answers are asked again; what stays broken fails the backup, and leaves nothing', async () => {
  using fixture = makeRun();
  const where = await freshDatabase(young);
  await fill(young, where);
  const before = await everything(young, where);
  const asked = new Map<string, number>();
  const moods = [503, 'cut', 429, 500, undefined] as const;
  await using gateway = await startGateway(young, ({ method, path, body }) => {
    if (!path.includes('/collections')) return undefined;
    const key = `${method} ${path} ${body}`;
    const times = (asked.get(key) ?? -1) + 1;
    asked.set(key, times);
    return asked.size % 23 === 0 ? moods[Math.min(times, moods.length - 1)] : undefined;
  });
  const store = storeAt({ url: gateway.url, databases: [where.database] });
  await backedUp(fixture.run, store);
  await restore(fixture.run, { ...restoreOptions(store), to: 'prefix:copy-' });
  await expectSame(young, where, new Map([...before].map(([name, one]) => [name, one])), { prefix: 'copy-' });

  await using broken = await startGateway(young, ({ path, body }) =>
    path.endsWith('/get') && body.includes('"offset":100') ? 500 : undefined,
  );
  using second = makeRun();
  const failed = await failureOf(second.run, { url: broken.url, databases: [where.database] });
  expect(failed).toMatchObject({ code: 'backup_failed', message: expect.stringMatching(/answers 500/) });
  const { backups, leftovers } = await second.run.repository.list();
  expect([...backups, ...leftovers]).toEqual([]);
});

test('what cannot be is refused in one line that helps', async () => {
  using fixture = makeRun();
  const { run } = fixture;
  const where = await freshDatabase(young);
  await makeCollection(young, where, 'one');
  const cases = [
    [{ url: 'http://127.0.0.1:1' }, 'backup_failed', /cannot be reached/, /check url/],
    [{ url: `${young.url}/nowhere` }, 'backup_failed', /is no ChromaDB/, /without \/api/],
    [{ url: young.url, databases: ['nowhere'] }, 'not_found', /no database "nowhere"/, /databases/],
    [{ url: young.url, tenants: ['nobody'] }, 'not_found', /tenant "nobody" has no databases/, /tenants/],
    [
      { url: young.url, databases: [(await freshDatabase(young)).database] },
      'backup_failed',
      /nothing to back up/,
      /allow/,
    ],
  ] as const;
  for (const [target, code, message, hint] of cases) {
    const error = await failureOf(run, target);
    expect(error).toMatchObject({
      code,
      message: expect.stringMatching(message),
      hint: expect.stringMatching(hint),
    });
  }
  // Each form of a backup goes to where it fits.
  const store = storeAt({ url: young.url, databases: [where.database] });
  await backedUp(run, store);
  await expect(restore(run, { ...restoreOptions(store), to: 'volume:anything' })).rejects.toMatchObject({
    code: 'restore_failed',
    message: expect.stringMatching(/taken through the API/),
  });
  await expect(restore(run, { ...restoreOptions(store), to: old.url })).rejects.toMatchObject({
    code: 'restore_failed',
    message: expect.stringMatching(/is of ChromaDB 1\.0\.0, the server at .* is 0\.6\.3/),
  });
  expect((await listCollections(old, { database: 'default_database' })).length).toBe(0);
});

test('verify reads every line: what is cut, swapped or no vector is found, and is not restored', async () => {
  using fixture = makeRun();
  const where = await freshDatabase(young);
  await fill(young, where);
  const store = storeAt({ url: young.url, databases: [where.database] });
  const made = await backedUp(fixture.run, store);
  const first = 'collections/00001.jsonl';
  const edits: [RegExp, (files: Map<string, Buffer>) => void][] = [
    [
      /"angles": expected 501 records, found 500/,
      (files) => edit(files, first, (text) => text.replace(/\n[^\n]+\n$/, '\n')),
    ],
    [/ends in the middle of a line/, (files) => edit(files, first, (text) => text.slice(0, -9))],
    [
      /expected a vector of 8 numbers, found 7/,
      (files) => edit(files, first, (text) => text.replace(/("embedding":\[)[^,]+,/, '$1')),
    ],
    [/it is not JSON/, (files) => edit(files, first, (text) => text.replace(/("n":)1,/, '$1x1,'))],
    [
      /its records are not those that were read/,
      (files) => edit(files, first, (text) => text.replace('document 9 ', 'document 8 ')),
    ],
    [/has no manifest\.json at its end/, (files) => void files.delete('manifest.json')],
    [/00001\.jsonl is missing/, (files) => void files.delete(first)],
    [
      /00001\.jsonl holds collection/,
      (files) => void files.set(first, files.get('collections/00003.jsonl') ?? Buffer.alloc(0)),
    ],
  ];
  for (const [finding, change] of edits) {
    const run = await resealed(fixture.run, made, change);
    const { backups } = await verify(run, { backups: [], level: 'content' });
    expect(backups[0]?.findings.join('\n'), String(finding)).toMatch(finding);
    await expect(restore(run, { ...restoreOptions(store), to: 'prefix:bad-' })).rejects.toMatchObject({
      code: 'bad_backup',
    });
  }
  expect((await listCollections(young, where)).filter(({ name }) => name.startsWith('bad-'))).toEqual([]);
});

function edit(files: Map<string, Buffer>, name: string, change: (text: string) => string): void {
  const before = (files.get(name) ?? Buffer.alloc(0)).toString('utf8');
  const after = change(before);
  expect(after).not.toBe(before);
  files.set(name, Buffer.from(after));
}
