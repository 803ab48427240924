// A million rows with vectors, a large object, a role with a password, two databases: saved while one client writes and
// another reads, and restored over a server whose init script has already made the tables. What it cost is printed.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import process from 'node:process';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { backup } from '../../src/operations/backup.ts';
import { restore } from '../../src/operations/restore.ts';
import { verify } from '../../src/operations/verify.ts';
import { requireTestbed } from '../../testbed/index.ts';
import { makeRun } from '../operations/run-fixture.ts';
import { backedUp, storeFor } from '../stores/conformance.ts';
import { portOf } from '../stores/fixtures/containers.ts';
import {
  ask,
  environment,
  fingerprintOf,
  port,
  startPostgres,
  target,
} from '../stores/fixtures/postgres-server.ts';
import { postgres, subjectOf } from '../stores/seeds/postgres.ts';

const watcher = join(import.meta.dirname, '../stores/fixtures/postgres-watcher.ts');
const scale = 200;
const rows = 5000 * scale;
const skipped = ['written', 'public.written'];

/** Asks again and again, in a process of its own; the longest time between two answers, and how many there were. */
async function watch(
  id: string,
  sql: string,
): Promise<{ stop(): Promise<{ longestMs: number; answers: number }> }> {
  const at = String(await portOf(id, port));
  const child = spawn(process.execPath, [watcher, at, sql, String(rows)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  return {
    async stop() {
      child.stdin.end();
      return JSON.parse(await text(child.stdout));
    },
  };
}

test('a million rows are saved without a pause, and restored over what an init script has made', async () => {
  await requireTestbed('postgres');
  const server = await startPostgres();
  const subject = subjectOf(server);
  await subject.fill(scale);
  const before = await subject.fingerprint();
  using fixture = makeRun();
  const run = { ...fixture.run, environment: { ...process.env, ...environment } };
  const store = storeFor(postgres, subject.target);

  const writer = await subject.startWriter();
  const writes = await watch(server.id, 'UPDATE items SET body = body WHERE id = $N');
  const reads = await watch(server.id, 'SELECT * FROM items WHERE id = $N');
  const startedMs = performance.now();
  const { metadata } = await backedUp(run, store);
  const backupMs = Math.round(performance.now() - startedMs);
  const [written, read] = [await writes.stop(), await reads.stop()];
  await writer.stop();
  console.info(
    `saved ${metadata.raw_size_bytes} bytes in ${backupMs} ms; meanwhile ${written.answers} writes, the longest pause ` +
      `${written.longestMs} ms, and ${read.answers} reads, the longest pause ${read.longestMs} ms`,
  );
  expect(metadata.counts).toMatchObject({ databases: 2, tables: 3, large_objects: 1, extensions: 1 });
  expect(metadata.counts.rows).toBeGreaterThanOrEqual(rows + 2);
  expect(written.longestMs).toBeLessThan(1000);
  expect(read.longestMs).toBeLessThan(1000);
  const { backups } = await verify(run, { backups: [], level: 'content' });
  expect(backups[0]).toMatchObject({ ok: true, findings: [], notChecked: [] });

  const init =
    'CREATE TABLE items (id int PRIMARY KEY); CREATE TABLE other (a int); INSERT INTO items VALUES (1);';
  const fresh = await startPostgres({ initFiles: { 'schema.sql': init } });
  const restoreMs = performance.now();
  const result = await restore(run, {
    backup: 'subject@latest',
    stores: [storeFor(postgres, target(fresh))],
    safetyBackup: true,
    confirm: async () => true,
  });
  console.info(`restored in ${Math.round(performance.now() - restoreMs)} ms`);
  expect(result.counts).toEqual(metadata.counts);
  for (const name of ['app', 'notes']) {
    expect(await fingerprintOf(fresh.id, name, skipped)).toBe(await fingerprintOf(server.id, name, skipped));
  }
  const passwords = `SELECT rolpassword FROM pg_authid WHERE rolname = 'reader'`;
  expect(await ask(fresh.id, passwords)).toEqual(await ask(server.id, passwords));
  expect(await subject.fingerprint()).toBe(before);
});

test('its own server gets it back, away for moments only', async () => {
  const server = await startPostgres();
  const subject = subjectOf(server);
  await subject.fill(scale / 4);
  const before = await subject.fingerprint();
  using fixture = makeRun();
  const run = { ...fixture.run, environment: { ...process.env, ...environment } };
  const store = storeFor(postgres, subject.target);
  await backup(run, { stores: [store] });
  await ask(server.id, 'UPDATE items SET body = body || body');

  let isDone = false;
  let awayMs = 0;
  const polling = (async () => {
    let goodAt = performance.now();
    while (!isDone) {
      const isGood = await ask(server.id, 'SELECT count(*) FROM items WHERE id = 1').then(
        () => true,
        () => false,
      );
      if (!isGood) continue;
      awayMs = Math.max(awayMs, performance.now() - goodAt);
      goodAt = performance.now();
    }
  })();
  await restore(run, {
    backup: 'subject@latest',
    stores: [store],
    safetyBackup: true,
    confirm: async () => true,
  });
  isDone = true;
  await polling;
  console.info(
    `a client that connects anew for each question was without an answer for ${Math.round(awayMs)} ms at most`,
  );
  expect(await subject.fingerprint()).toBe(before);
  expect(awayMs).toBeLessThan(5000);
});
