// 100,000 nodes and a client that writes all the time, with the settings that the image has: by files, and by dumps.
import { beforeAll, expect, test } from 'vitest';
import { restore } from '../../src/operations/restore.ts';
import { verify } from '../../src/operations/verify.ts';
import { requireTestbed } from '../../testbed/index.ts';
import { makeRun } from '../operations/run-fixture.ts';
import { backedUp, restoreOptions, storeFor, writtenBy } from '../stores/conformance.ts';
import {
  fill,
  fingerprint,
  items,
  loseAll,
  startNeo4j,
  startWriter,
} from '../stores/fixtures/neo4j-server.ts';
import { neo4j as seed } from '../stores/seeds/neo4j.ts';

beforeAll(() => requireTestbed('neo4j'));

test.each(['volume', 'dump'] as const)(
  'a Neo4j with 100,000 nodes is saved by %s under a live writer, and comes back',
  async (method) => {
    using fixture = makeRun();
    const { run } = fixture;
    const server = await startNeo4j({ isLean: false, hasHealthCheck: false });
    await fill(server, 11);
    const before = await fingerprint(server);
    const store = storeFor(seed, { container: server.name, method });

    const writer = await startWriter(server);
    await writtenBy(writer, 100);
    const atLeast = writer.acknowledged();
    const startedAt = performance.now();
    const { metadata } = await backedUp(run, store);
    const backupMs = performance.now() - startedAt;
    const atMost = writer.acknowledged() + 1;
    await writtenBy(writer, writer.acknowledged() + 20);
    await writer.stop();
    expect(metadata.counts.nodes).toBeGreaterThan(100_000);
    expect(metadata.clean_stop).toBe(true);

    const verifiedAt = performance.now();
    expect(await verify(run, { backups: [], level: 'content' })).toMatchObject({ ok: true });
    const verifyMs = performance.now() - verifiedAt;
    await loseAll(server);
    const result = await restore(run, restoreOptions(store));
    expect(await fingerprint(server)).toBe(before);
    expect(result.counts).toEqual(metadata.counts);
    const found = (await items(server)).toSorted((a, b) => a - b);
    expect(found).toEqual(Array.from({ length: found.length }, (_, index) => index + 1));
    expect(found.length).toBeGreaterThanOrEqual(atLeast);
    expect(found.length).toBeLessThanOrEqual(atMost);
    console.info(
      JSON.stringify({
        method,
        counts: metadata.counts,
        rawBytes: metadata.raw_size_bytes,
        archiveBytes: metadata.size_bytes,
        backupMs: Math.round(backupMs),
        backupDowntimeMs: metadata.downtime_ms,
        verifyMs: Math.round(verifyMs),
        restoreMs: result.durationMs,
        restoreDowntimeMs: result.downtimeMs,
      }),
    );
  },
);
