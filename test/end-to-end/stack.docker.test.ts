// All stores of a stack at one moment, under a writer at full speed. PKBACKUP_TEST_STACK_ROUNDS sets how often.
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { pkbackup } from '../cli/program.ts';
import { stateOf } from '../docker/bed.ts';
import { type Stack, startStack, untilItWrites } from './stack.ts';

const rounds = Number(process.env.PKBACKUP_TEST_STACK_ROUNDS ?? 3);
const timeout = 240_000 + rounds * 30_000;
const liveDocker = { DOCKER_HOST: process.env.DOCKER_HOST || 'unix:///var/run/docker.sock' };

interface Made {
  readonly set_id: string;
  readonly consistent: boolean;
  readonly held_ms?: number;
  readonly skew_ms: number;
  readonly stores: { store: string; backup: { counts: Record<string, number> } }[];
}

async function backup(stack: Stack, ...flags: string[]): Promise<Made> {
  const options = { cwd: stack.directory, env: liveDocker };
  const { exitCode, stdout, stderr } = await pkbackup(['backup', '--json', ...flags], options);
  expect(exitCode, stderr).toBe(0);
  return JSON.parse(stdout) as Made;
}

/** How many records each store has, in the order in which they are written; counted in the copies. */
function recordsIn({ stores }: Made): number[] {
  const countOf = (store: string) => stores.find((one) => one.store === store)?.backup.counts ?? {};
  return [
    countOf('vectors').records,
    countOf('graph').nodes,
    countOf('rows').rows,
    countOf('events').rows,
  ].map((count) => count ?? -1);
}

test(`with --consistent every store has the same last record, ${rounds} times, and a restored set has it, too`, {
  timeout,
}, async () => {
  await using stack = await startStack('clients: [app]\nclients_quiesce: stop');
  await untilItWrites(stack);
  const app = stack.containers.get('app') ?? '';
  const held: number[] = [];
  let last = 0;
  for (let round = 0; round < rounds; round += 1) {
    const made = await backup(stack, '--consistent');
    const [first = -1, ...others] = recordsIn(made);
    expect(others, `round ${round}`).toEqual([first, first, first]);
    expect(first, 'the writer goes on').toBeGreaterThan(last);
    last = first;
    expect(made.consistent).toBe(true);
    expect(await stateOf(app)).toMatchObject({ status: 'running' });
    held.push(made.held_ms ?? Number.NaN);
    await sleep(200);
  }
  held.sort((a, b) => a - b);
  process.stdout.write(`clients held ${held[0]} to ${held.at(-1)} ms, median ${held[rounds >> 1]}\n`);
  const { set_id } = await backup(stack, '--consistent');
  await stack.startAnew();
  const options = { cwd: stack.directory, env: liveDocker };
  const restored = await pkbackup(['restore', set_id, '--yes', '--json'], options);
  expect(restored.exitCode, restored.stderr).toBe(0);
  const again = recordsIn(await backup(stack));
  expect(new Set(again).size, `restored: ${again}`).toBe(1);
  expect(again[0]).toBeGreaterThan(last);
});

test('a pause is one moment too, but may part a record; without either the moments differ', {
  timeout,
}, async () => {
  await using stack = await startStack('consistent: true');
  await untilItWrites(stack);
  const held: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const made = await backup(stack);
    const records = recordsIn(made);
    // What is written later has no more than what is written earlier, and at most the record that was under way is missing.
    expect(
      records.toSorted((a, b) => b - a),
      `round ${round}`,
    ).toEqual(records);
    expect((records[0] ?? 0) - (records.at(-1) ?? 0), `round ${round}: ${records}`).toBeLessThanOrEqual(1);
    held.push(made.held_ms ?? Number.NaN);
  }
  const apart = recordsIn(await backup(stack, '--no-consistent'));
  expect(new Set(apart).size, `without it: ${apart}`).toBeGreaterThan(1);
  held.sort((a, b) => a - b);
  process.stdout.write(`clients paused ${held[0]} to ${held.at(-1)} ms, median ${held[rounds >> 1]}\n`);
});
