// 200,000 nodes and a client that reads and writes all the time: what is hot stays hot, and comes back.
import { beforeAll, expect, test } from 'vitest';
import { restore } from '../../src/operations/restore.ts';
import { verify } from '../../src/operations/verify.ts';
import { requireTestbed } from '../../testbed/index.ts';
import { makeRun } from '../operations/run-fixture.ts';
import { backedUp, restoreOptions, storeFor, writtenBy } from '../stores/conformance.ts';
import { fill, fingerprint, items, startFalkordb, startWriter } from '../stores/fixtures/falkordb-server.ts';
import { falkordb as seed } from '../stores/seeds/falkordb.ts';

beforeAll(() => requireTestbed('falkordb'));

test('a FalkorDB with 200,000 nodes is saved while a client reads and writes, and restored into a server with a log', async () => {
  using fixture = makeRun();
  const { run } = fixture;
  const server = await startFalkordb({ redisArgs: '--appendonly yes' });
  await fill(server, 108);
  const before = await fingerprint(server);
  const store = storeFor(seed, { container: server.name });

  const idle = await startWriter(server);
  await writtenBy(idle, 500);
  await idle.stop();
  const writer = await startWriter(server);
  await writtenBy(writer, 100);
  const atLeast = writer.acknowledged();
  const startedAt = performance.now();
  const made = await backedUp(run, store);
  const backupMs = performance.now() - startedAt;
  const during = writer.acknowledged() - atLeast;
  await writer.stop();
  expect(writer.troubles()).toEqual([]);
  expect(writer.longestMs()).toBeLessThan(1000);
  expect(made.metadata.counts.nodes).toBeGreaterThan(200_000);

  expect(await verify(run, { backups: [], level: 'content' })).toMatchObject({ ok: true });
  await server.ask('FLUSHALL');
  const result = await restore(run, restoreOptions(store));
  expect(await fingerprint(server)).toBe(before);
  const found = (await items(server)).length;
  expect(found).toBeGreaterThanOrEqual(atLeast);
  expect(result.counts).toMatchObject({
    nodes: made.metadata.counts.nodes,
    edges: made.metadata.counts.edges,
  });
  console.info(
    JSON.stringify({
      counts: made.metadata.counts,
      rawBytes: made.metadata.raw_size_bytes,
      archiveBytes: made.metadata.size_bytes,
      backupMs: Math.round(backupMs),
      writesDuringBackup: during,
      longestWriteAndReadMs: Math.round(writer.longestMs()),
      longestWithoutBackupMs: Math.round(idle.longestMs()),
      restoreDowntimeMs: result.downtimeMs,
      restoreMs: result.durationMs,
    }),
  );
});
