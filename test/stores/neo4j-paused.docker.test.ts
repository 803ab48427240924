// A Neo4j that is frozen for its copy: what it has acknowledged comes back, whatever it was doing, and nothing is said of the
// copy that is not true of it. PKBACKUP_TEST_NEO4J_PAUSES sets how often.
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { ConfiguredStore } from '../../src/config/types.ts';
import type { Event } from '../../src/events.ts';
import { backup } from '../../src/operations/backup.ts';
import { drill } from '../../src/operations/drill.ts';
import { restore } from '../../src/operations/restore.ts';
import { verify } from '../../src/operations/verify.ts';
import type { Backup } from '../../src/repository/index.ts';
import { helpersLeft, makeContainer, uniqueName } from '../docker/bed.ts';
import { makeRun, type RunFixture } from '../operations/run-fixture.ts';
import { backedUp, restoreOptions } from './conformance.ts';
import { fill, loseAll, type Neo4j, startNeo4j, untilOnline } from './fixtures/neo4j-server.ts';

const times = Number(process.env.PKBACKUP_TEST_NEO4J_PAUSES ?? 1);
const connections = 5;

/** Numbers of its own for each connection, each when the one before it was taken. */
function startWriters({ ask }: Neo4j) {
  const acknowledged = Array.from({ length: connections }, () => 0);
  let isStopped = false;
  const write = async (_: unknown, writer: number) => {
    while (!isStopped) {
      const n = (acknowledged[writer] ?? 0) + 1;
      const statement =
        'MERGE (a:Item {w: $writer, n: $n}) MERGE (b:Item {w: $writer, n: $n - 1}) MERGE (b)-[:NEXT]->(a)';
      await ask(statement, { writer, n }).then(
        () => {
          acknowledged[writer] = n;
        },
        () => sleep(50),
      );
    }
  };
  const writing = Promise.all(acknowledged.map(write));
  return {
    acknowledged: () => [...acknowledged],
    async stop() {
      isStopped = true;
      await writing;
    },
  };
}

/** For each connection, how many numbers are there and which is the last. */
async function numbersIn(server: Neo4j): Promise<{ count: number; last: number }[]> {
  await untilOnline(server);
  const rows = await server.ask('MATCH (i:Item) WHERE i.n > 0 RETURN i.w, count(i), max(i.n) ORDER BY i.w');
  return rows.map(([, count, last]) => ({ count: Number(count), last: Number(last) }));
}

/** Neo4j starts again and again: to be restored, to recover before it is checked, to be drilled. */
const timeout = 900_000 + times * 300_000;

test(`everything acknowledged is in a copy of a paused server, ${times} times`, { timeout }, async () => {
  using fixture = makeRun();
  const server = await startNeo4j();
  await server.ask('CREATE INDEX item IF NOT EXISTS FOR (i:Item) ON (i.w, i.n)');
  const store: ConfiguredStore = {
    name: 'subject',
    kind: 'neo4j',
    target: { container: server.name },
    quiesce: 'pause',
  };
  for (let round = 0; round < times; round += 1) {
    const writers = startWriters(server);
    await sleep(2000);
    let taken: number[] = [];
    const emit = (event: Event) => {
      if (event.type === 'held') taken = writers.acknowledged();
      fixture.events.push(event);
    };
    const made = await backedUp({ ...fixture.run, emit }, store);
    await writers.stop();
    expect(made.metadata, `round ${round}`).toMatchObject({ quiesce: 'pause', counts: {} });
    const { backups } = await verify(fixture.run, { backups: [made.stem], level: 'content' });
    expect(backups[0], `round ${round}`).toMatchObject({ ok: true, findings: [], notChecked: [] });
    await loseAll(server);
    await restore(fixture.run, { ...restoreOptions(store), backup: made.stem });
    const numbers = await numbersIn(server);
    for (const [writer, least] of taken.entries()) {
      const { count = 0, last = 0 } = numbers[writer] ?? {};
      expect(count, `round ${round}, connection ${writer}`).toBe(last);
      expect(last, `round ${round}, connection ${writer}`).toBeGreaterThanOrEqual(least);
      // Its answer may have been on its way.
      expect(last, `round ${round}, connection ${writer}`).toBeLessThanOrEqual(least + 1);
    }
    await loseAll(server);
  }
  expect(await helpersLeft()).toEqual([]);
});

async function atOneMoment({ run }: RunFixture, store: ConfiguredStore): Promise<Backup> {
  const client = uniqueName('client');
  await makeContainer({ name: client });
  const clients = { containers: [client], quiesce: 'pause' } as const;
  const { stores } = await backup(run, { stores: [store], consistent: { clients, longestMs: 60_000 } });
  const [result] = stores;
  if (!result?.ok || !result.backup) throw result?.ok === false ? result.error : new Error('no backup');
  return result.backup;
}

test('where others wait for it, it is paused unless it is to be stopped, and says what it has', {
  timeout,
}, async () => {
  using fixture = makeRun();
  const { run, events } = fixture;
  const server = await startNeo4j();
  await fill(server, 1);
  const store: ConfiguredStore = { name: 'subject', kind: 'neo4j', target: { container: server.name } };
  const counts = { nodes: 9286, relationships: 4286 };

  const paused = await atOneMoment(fixture, store);
  // On a busy machine nobody waits for the answer.
  const wasLate = events.some((event) => event.type === 'step' && event.message.includes('not answered'));
  const said = wasLate ? {} : counts;
  expect(paused.metadata, JSON.stringify(events)).toMatchObject({ quiesce: 'pause' });
  expect(paused.metadata.counts).toEqual(said);
  expect(paused.metadata.samples).not.toEqual([]);
  const { backups } = await verify(run, { backups: [paused.stem], level: 'content' });
  expect(backups[0]).toMatchObject({ ok: true, notChecked: [] });
  const { drills } = await drill(run, { backups: [paused.stem], stores: [store] });
  expect(drills[0]).toMatchObject({ ok: true, findings: [], counts });

  const stopped = await atOneMoment(fixture, { ...store, quiesce: 'stop' });
  expect(stopped.metadata).toMatchObject({ quiesce: 'stop', counts });
  const dumped = await atOneMoment(fixture, { ...store, target: { container: server.name, method: 'dump' } });
  expect(dumped.metadata).toMatchObject({ quiesce: 'stop', counts });
  await untilOnline(server);
  expect(await restore(run, { ...restoreOptions(store), backup: paused.stem })).toMatchObject({ counts });
  expect(await helpersLeft()).toEqual([]);
});
