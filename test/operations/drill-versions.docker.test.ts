// `drill --image`: does a backup come back under another version of its server? The true answer of real servers, in one line.
import { beforeAll, expect, test } from 'vitest';
import type { ConfiguredStore } from '../../src/config/types.ts';
import { drill } from '../../src/operations/drill.ts';
import { drillText } from '../../src/reporters/drill-result.ts';
import { paintFor } from '../../src/reporters/palette.ts';
import type { Backup } from '../../src/repository/index.ts';
import { image, requireTestbed, type ServerName } from '../../testbed/index.ts';
import { makeVolume, removeContainer, throwawaysLeft, uniqueName } from '../docker/bed.ts';
import { startChroma } from '../stores/chroma-client.ts';
import { backedUp, storeFor } from '../stores/conformance.ts';
import { fill as fillGraphs, startFalkordb } from '../stores/fixtures/falkordb-server.ts';
import { environment, run as runSql, startPostgres, target } from '../stores/fixtures/postgres-server.ts';
import { makeRun, type RunFixture } from './run-fixture.ts';

const servers = ['chromadb', 'chromadb06', 'falkordb', 'falkordb418', 'postgres', 'postgres15'] as const;
beforeAll(() => requireTestbed(...servers));

/** A backup of a server that is gone. */
async function backupOf(
  { run }: RunFixture,
  kind: ConfiguredStore['kind'],
  start: () => Promise<{ id: string; target: Record<string, unknown> }>,
): Promise<Backup> {
  const server = await start();
  const made = await backedUp(run, storeFor({ kind }, server.target));
  await removeContainer(server.id);
  return made;
}

/** The line that `--image` is there for, and what of it is in the metadata. */
async function answerUnder({ run }: RunFixture, { stem }: Backup, server: ServerName) {
  const result = await drill(run, { backups: [stem], stores: [], image: image[server] });
  expect(result.drills[0]?.error).toBe(undefined);
  const look = { paint: paintFor(false), width: Number.POSITIVE_INFINITY, now: new Date() };
  const line = drillText(result, look).find((text) => /^(yes|no): /.test(text)) ?? '';
  process.stdout.write(`${line}\n`);
  expect(await throwawaysLeft()).toEqual([]);
  const [{ metadata } = {}] = (await run.repository.list()).backups;
  return { ok: result.ok, line, checks: metadata?.checks };
}

test('a backup of ChromaDB 0.6.3 comes up under 1.x', async () => {
  using fixture = makeRun();
  const made = await backupOf(fixture, 'chromadb', async () => {
    const name = uniqueName('chroma');
    const options = { image: image.chromadb06, path: '/chroma/chroma', name };
    const chroma = await startChroma(await makeVolume(), options);
    const collection = await chroma.createCollection('documents');
    // Over 1000 records, so that vectors lie in the index files too.
    for (let from = 0; from < 1200; from += 400) await chroma.add(collection, from, 400);
    return { id: chroma.id, target: { container: name } };
  });
  const { line, checks } = await answerUnder(fixture, made, 'chromadb');
  expect(line).toMatch(
    /^yes: subject-backup-\S+ comes up under pkbackup-test\/chromadb:1, with all that it had, in /,
  );
  expect(checks).toMatchObject([{ level: 'drill', ok: true, image: image.chromadb }]);
});

test.each([
  [
    'falkordb418',
    'falkordb',
    /^no: .* does not come back under \S+: .* it said: Can't handle RDB format version 13$/,
  ],
  ['falkordb', 'falkordb418', /^yes: .* comes up under \S+, with all that it had, in /],
] as const)('a backup of FalkorDB (%s) under %s', async (from, under, expected) => {
  using fixture = makeRun();
  const made = await backupOf(fixture, 'falkordb', async () => {
    const server = await startFalkordb({ image: image[from] });
    await fillGraphs(server, 1);
    return { id: server.id, target: { container: server.name } };
  });
  expect(made.metadata.samples?.length).toBeGreaterThan(0);
  const { ok, line, checks } = await answerUnder(fixture, made, under);
  expect(line).toMatch(expected);
  // That it does not come up under an older version is no damage of it.
  expect(checks).toMatchObject(ok ? [{ level: 'drill', ok: true, image: image[under] }] : []);
});

test('a backup of PostgreSQL 17 does not come back under 15, which cannot read its dump', async () => {
  using fixture = makeRun();
  const run = { ...fixture.run, environment: { ...fixture.run.environment, ...environment } };
  const made = await backupOf({ ...fixture, run }, 'postgres', async () => {
    const server = await startPostgres();
    await runSql(server.id, [
      'CREATE TABLE t (n int PRIMARY KEY)',
      'INSERT INTO t SELECT generate_series(1, 500)',
    ]);
    return { id: server.id, target: target(server) };
  });
  const { line, checks } = await answerUnder({ ...fixture, run }, made, 'postgres15');
  expect(line).toMatch(
    /^no: .* does not come back under pkbackup-test\/postgres:15: the backup is of PostgreSQL 17\S* .*, which pg_restore 15\S* .* cannot read/,
  );
  expect(checks).toEqual([]);
});
