// What only Neo4j has; the conformance suite has the rest.
import { expect, test, vi } from 'vitest';
import { readArchive } from '../../src/archive/read-archive.ts';
import { nameOf } from '../../src/archive/tar-format.ts';
import { scanTar } from '../../src/archive/tar-scan.ts';
import type { ConfiguredStore } from '../../src/config/types.ts';
import type { Event } from '../../src/events.ts';
import { restore } from '../../src/operations/restore.ts';
import { verify } from '../../src/operations/verify.ts';
import { neo4j } from '../../src/stores/neo4j.ts';
import type { BackupFacts } from '../../src/stores/store.ts';
import {
  bytesOf,
  containerOf,
  helpersLeft,
  inVolume,
  makeContext,
  makeVolume,
  piecesOf,
} from '../docker/bed.ts';
import { makeRun } from '../operations/run-fixture.ts';
import { backedUp, restoreOptions } from './conformance.ts';
import {
  fill,
  fingerprint,
  loseAll,
  neo4jAt,
  password,
  startNeo4j,
  untilOnline,
} from './fixtures/neo4j-server.ts';

const storeOf = (target: object): ConfiguredStore => ({ name: 'subject', kind: 'neo4j', target });
const messagesOf = (events: readonly Event[], type: Event['type']) =>
  events.filter((event) => event.type === type).map((event) => ('message' in event ? event.message : ''));

async function namesIn(path: string): Promise<string[]> {
  const names: string[] = [];
  const { signal } = new AbortController();
  for await (const piece of scanTar(readArchive(path, { signal })))
    if (piece.type === 'entry') names.push(nameOf(piece.entry));
  return names;
}

/** A backup of a server that is gone, and another one with another password in its place. */
async function underChangedAuth() {
  const fixture = makeRun();
  const old = await startNeo4j({ hasHealthCheck: false });
  await fill(old, 1);
  const before = await fingerprint(old);
  const made = await backedUp(fixture.run, storeOf({ container: old.name }));
  await containerOf(old.id).remove({ force: true });
  const changed = await startNeo4j({ auth: 'neo4j/quite-another-one', hasHealthCheck: false });
  return { ...fixture, before, made, changed };
}

test('the users of the backup are valid after a restore under a changed NEO4J_AUTH, and it says so', async () => {
  using fixture = await underChangedAuth();
  const { run, events, before, made, changed } = fixture;
  expect(made.metadata).toMatchObject({
    store_version: '5.26.0',
    databases: ['neo4j', 'system'],
    clean_stop: true,
  });
  const { counts } = await restore(run, restoreOptions(storeOf({ container: changed.name })));

  expect(counts).toEqual(made.metadata.counts);
  expect(messagesOf(events, 'step').join()).toMatch(/users and passwords come from the backup: NEO4J_AUTH/);
  expect(messagesOf(events, 'warning').join()).toMatch(
    /refuses the password that pkbackup has.*whatever NEO4J_AUTH/,
  );
  // After three wrong passwords the server refuses everyone for a while, with other words.
  await expect(changed.ask('RETURN 1')).rejects.toThrow(/unauthorized|too many times/i);
  const restored = () => fingerprint(neo4jAt(changed, password));
  expect(await vi.waitFor(restored, { timeout: 60_000, interval: 3000 })).toBe(before);
  expect(await inVolume(changed.volume, 'find /v ! -user 7474 -o ! -group 7474 | head')).toBe('');
});

test('with the password of the backup configured, the restored server itself is asked', async () => {
  using fixture = await underChangedAuth();
  const { events, before, made, changed } = fixture;
  const run = { ...fixture.run, environment: { ...fixture.run.environment, OLD: password } };
  const target = { container: changed.name, password_env: 'OLD' };
  const { counts } = await restore(run, restoreOptions(storeOf(target)));
  expect(counts).toEqual(made.metadata.counts);
  expect(messagesOf(events, 'warning')).toEqual([expect.stringContaining('and goes to volume')]);
  expect(await fingerprint(neo4jAt(changed, password))).toBe(before);
});

test('a server without passwords is saved and restored', async () => {
  using fixture = makeRun();
  const server = await startNeo4j({ auth: 'none' });
  await server.ask('CREATE (:Only {n: 1})');
  const store = storeOf({ container: server.name });
  const { metadata } = await backedUp(fixture.run, store);
  expect(metadata.counts).toEqual({ nodes: 1, relationships: 0 });
  await untilOnline(server);
  await server.ask('MATCH (n) DELETE n');
  expect(await restore(fixture.run, restoreOptions(store))).toMatchObject({ counts: { nodes: 1 } });
});

test('a killed server is saved as it is and marked so, or recovered alone before it is dumped', async () => {
  using fixture = makeRun();
  const { run, events } = fixture;
  const server = await startNeo4j();
  await fill(server, 1);
  const before = await fingerprint(server);
  await containerOf(server.id).kill();

  const target = { container: server.name };
  const files = await backedUp(run, storeOf(target));
  expect(files.metadata.counts).toEqual({});
  expect(messagesOf(events, 'warning').join()).toMatch(/was killed before it had closed its files/);
  const { backups } = await verify(run, { backups: [files.stem], level: 'content' });
  expect(backups[0]).toMatchObject({ ok: true, notChecked: [] });

  const dumps = await backedUp(run, storeOf({ ...target, method: 'dump' }));
  expect(messagesOf(events, 'step').join()).toMatch(/started alone to recover/);
  expect(dumps.metadata).toMatchObject({
    counts: { nodes: 9286, relationships: 4286 },
    databases: ['neo4j', 'system'],
  });
  expect((await namesIn(dumps.path)).toSorted()).toEqual(['./', './neo4j.dump', './system.dump']);
  expect((await containerOf(server.id).inspect()).State.Running).toBe(false);

  for (const { stem } of [files, dumps]) {
    await containerOf(server.id).start();
    await untilOnline(server);
    await loseAll(server);
    await restore(run, { ...restoreOptions(storeOf(target)), backup: stem });
    expect(await fingerprint(server), stem).toBe(before);
    await containerOf(server.id).kill();
  }
  expect(await helpersLeft()).toEqual([]);
});

test('damage inside is found, in files and in dumps', async () => {
  using fixture = makeRun();
  const server = await startNeo4j();
  await fill(server, 1);
  const { context } = makeContext(fixture.directory);
  for (const method of ['volume', 'dump'] as const) {
    const made = await backedUp(fixture.run, storeOf({ container: server.name, method }));
    const { metadata } = made;
    const facts = { ...metadata, storeVersion: metadata.store_version } as unknown as BackupFacts;
    const tar = await bytesOf(readArchive(made.path, { signal: context.signal }));
    const check = (bytes: Buffer) => neo4j.check!({ tar: () => piecesOf(bytes) }, facts, context);
    expect(await check(tar), method).toMatchObject({ findings: [] });
    const damaged = method === 'volume' ? await damagedRelationships(tar) : await damagedDump(tar);
    expect((await check(damaged)).findings.join(), method).toMatch(/database "neo4j": |expected \d+/);
  }
  expect(await helpersLeft()).toEqual([]);
});

/** Records stay in use, so that their number is right: they point somewhere else. */
async function damagedRelationships(tar: Buffer): Promise<Buffer> {
  const at = await dataOf(tar, './databases/neo4j/neostore.relationshipstore.db');
  const copy = Buffer.from(tar);
  for (let record = 10; record < 60; record += 1)
    copy.fill(0x07, at + record * 34 + 5, at + record * 34 + 12);
  return copy;
}

async function damagedDump(tar: Buffer): Promise<Buffer> {
  const at = await dataOf(tar, './neo4j.dump');
  const copy = Buffer.from(tar);
  copy.fill(0x55, at + 3000, at + 3100);
  return copy;
}

async function dataOf(tar: Buffer, wanted: string): Promise<number> {
  let at = 0;
  for await (const piece of scanTar(piecesOf(tar, tar.length))) {
    if (piece.type === 'entry') at = tar.indexOf(piece.raw, at) + piece.raw.length;
    if (piece.type === 'entry' && nameOf(piece.entry) === wanted) return at;
  }
  throw new Error(`there is no "${wanted}"`);
}

test('what a newer server wrote is refused, and a dump that does not load touches nothing', async () => {
  using fixture = makeRun();
  const server = await startNeo4j();
  await fill(server, 1);
  const before = await fingerprint(server);
  const { context } = makeContext(fixture.directory);
  const facts: BackupFacts = { kind: 'neo4j', store: 's', source: {}, counts: {}, storeVersion: '5.99.1' };
  const plan = (backup: BackupFacts) =>
    neo4j.planRestore({ container: server.name }, backup, { beside: false }, context);
  await expect(plan(facts)).rejects.toMatchObject({
    code: 'restore_failed',
    message: expect.stringMatching(/backup is of Neo4j 5\.99\.1, the server is Neo4j 5\.26\.0/),
  });

  const made = await backedUp(fixture.run, storeOf({ container: server.name, method: 'dump' }));
  const tar = await bytesOf(readArchive(made.path, { signal: context.signal }));
  const damaged = await damagedDump(tar);
  const restoration = await plan({ ...facts, storeVersion: '5.26.0' });
  await expect(restoration.stage({ tar: () => piecesOf(damaged) })).rejects.toThrow(/neo4j-admin load/);
  await restoration.rollback();
  expect(await fingerprint(server)).toBe(before);
  expect((await inVolume(server.volume, 'ls -A /v')).includes('pkbackup')).toBe(false);
  expect(await helpersLeft()).toEqual([]);
});

test('without an image of Neo4j the files are checked, and it is said what was not', async () => {
  using fixture = makeRun();
  const server = await startNeo4j();
  await server.ask('CREATE (:Only)');
  const made = await backedUp(fixture.run, storeOf({ container: server.name }));
  const { context } = makeContext(fixture.directory);
  const facts = { ...made.metadata, source: { image: 'neo4j:5.0-not-here' } } as unknown as BackupFacts;
  const content = { tar: () => readArchive(made.path, { signal: context.signal }) };
  const report = await neo4j.check!(content, facts, context);
  expect(report).toMatchObject({ findings: [], counts: { nodes: 1, relationships: 0 } });
  expect(report.notChecked?.join()).toMatch(/image "neo4j:5\.0-not-here" is not on this machine/);
  const emptied = { ...facts, counts: { nodes: 2 } };
  expect((await neo4j.check!(content, emptied, context)).findings).toEqual(['expected 2 nodes, found 1']);
});

test('a volume without a container is saved and restored, and counted in its files', async () => {
  using fixture = makeRun();
  const { run } = fixture;
  const server = await startNeo4j();
  await server.ask('CREATE (:Only)-[:R]->(:Other)');
  await containerOf(server.id).stop({ t: 120 });
  await containerOf(server.id).remove();
  const store = storeOf({ volume: server.volume });
  expect((await backedUp(run, store)).metadata.counts).toEqual({ nodes: 2, relationships: 1 });
  const beside = await makeVolume();
  const { counts } = await restore(run, { ...restoreOptions(store), to: beside });
  expect(counts).toEqual({ nodes: 2, relationships: 1 });
  const opened = await startNeo4j({ volume: beside });
  expect(await opened.ask('MATCH (n) RETURN count(n)')).toEqual([[2]]);
});
