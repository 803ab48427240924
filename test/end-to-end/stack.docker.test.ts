// All stores of a stack at one moment, under a writer at full speed, the whole way that the docs say: init, a consistent backup,
// everything destroyed, the set restored. PKBACKUP_TEST_STACK_ROUNDS sets how often, and PKBACKUP_TEST_STACK_ROUNDS_NEO4J with
// Neo4j.
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { stateOf } from '../docker/bed.ts';
import { type Stack, startStack } from './whole-stack.ts';

const rounds = Number(process.env.PKBACKUP_TEST_STACK_ROUNDS ?? 2);
/** Neo4j takes ten seconds and more to start. */
const roundsWithNeo4j = Number(process.env.PKBACKUP_TEST_STACK_ROUNDS_NEO4J ?? 1);
const timeout = 600_000 + Math.max(rounds, roundsWithNeo4j) * 240_000;

interface Made {
  readonly set_id: string;
  readonly consistent: boolean;
  readonly held_ms?: number;
  readonly skew_ms: number;
  readonly stores: { store: string; backup: { counts: Record<string, number> } }[];
}

interface Restored {
  readonly stores: { backup: { store: string }; counts: Record<string, number> }[];
}

async function json<Answer>({ run }: Stack, ...args: string[]): Promise<Answer> {
  const { exitCode, stdout, stderr } = await run(...args, '--json');
  expect(exitCode, stderr).toBe(0);
  return JSON.parse(stdout) as Answer;
}

/**
 * How many records each store has, in the order in which they are written; counted in the copies. Neo4j is paused and says it
 * itself, and on a busy machine nobody waits for that.
 */
function recordsIn({ records }: Stack, { stores }: Made): number[] {
  return records.flatMap(([name, count]) => {
    const counts = stores.find(({ store }) => store === name)?.backup.counts ?? {};
    return name === 'neo4j' && Object.keys(counts).length === 0 ? [] : [counts[count] ?? -1];
  });
}

/** As the restored stores themselves have said. */
function recordsOf({ records }: Stack, { stores }: Restored): number[] {
  return records.map(([name, count]) => {
    return stores.find(({ backup }) => backup.store === name)?.counts[count] ?? -1;
  });
}

function tell(what: string, held: number[]): void {
  held.sort((a, b) => a - b);
  const middle = held[held.length >> 1];
  process.stdout.write(`${what} ${held[0]} to ${held.at(-1)} ms, median ${middle}, ${held.length} times\n`);
}

/** The writer ends what it has begun before it is held, so that every store has the same last record. */
async function goTheWholeWay(times: number, options: { withNeo4j: boolean }): Promise<void> {
  await using stack = await startStack('clients: [app]\nclients_quiesce: stop', options);
  const held: number[] = [];
  let last = 0;
  for (let round = 0; round < times; round += 1) {
    const made = await json<Made>(stack, 'backup', '--consistent');
    const [first = -1, ...others] = recordsIn(stack, made);
    expect(others, `round ${round}`).toEqual(others.map(() => first));
    expect(first, 'the writer goes on').toBeGreaterThan(last);
    expect(made.consistent).toBe(true);
    expect(await stateOf(stack.app())).toMatchObject({ status: 'running' });
    last = first;
    held.push(made.held_ms ?? Number.NaN);
    if (times > 2) process.stdout.write(`round ${round}: ${first} records, held ${made.held_ms} ms\n`);
    await stack.startAnew();
    const restored = await json<Restored>(stack, 'restore', made.set_id, '--yes');
    const expected = stack.records.map(() => first);
    expect(recordsOf(stack, restored), `restored, round ${round}`).toEqual(expected);
    await stack.startApp();
    await sleep(200);
  }
  tell(`clients stopped${options.withNeo4j ? ', with Neo4j' : ''}`, held);
}

test(
  `init, backup --consistent, everything destroyed, restore: the same last record in every store, ${rounds} times`,
  {
    timeout,
  },
  () => goTheWholeWay(rounds, { withNeo4j: false }),
);

test(`so with Neo4j, which is paused for it, ${roundsWithNeo4j} times`, { timeout }, () =>
  goTheWholeWay(roundsWithNeo4j, { withNeo4j: true }),
);

test('a pause is one moment too, but may part a record; without either the moments differ', {
  timeout,
}, async () => {
  await using stack = await startStack('consistent: true');
  const held: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const made = await json<Made>(stack, 'backup');
    const records = recordsIn(stack, made);
    // What is written later has no more than what is written earlier, and at most the record that was under way is missing.
    expect(
      records.toSorted((a, b) => b - a),
      `round ${round}`,
    ).toEqual(records);
    expect((records[0] ?? 0) - (records.at(-1) ?? 0), `round ${round}: ${records}`).toBeLessThanOrEqual(1);
    held.push(made.held_ms ?? Number.NaN);
  }
  const apart = recordsIn(stack, await json<Made>(stack, 'backup', '--no-consistent'));
  expect(new Set(apart).size, `without it: ${apart}`).toBeGreaterThan(1);
  tell('clients paused', held);
});
