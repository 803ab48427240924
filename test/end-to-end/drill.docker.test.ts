// A whole set of a stack is verified to the bottom and drilled beside the live stack, which is frozen meanwhile: whoever spoke
// with its servers would wait for ever, and what wrote to its volumes would be seen. PKBACKUP_TEST_DRILL_KILLS sets how often a
// drill of the set is killed.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { expect, test } from 'vitest';
import { pkbackup } from '../cli/program.ts';
import { containerOf, listingOf, stateOf } from '../docker/bed.ts';
import { killDrills, liveDocker } from '../faults/kill-drills.ts';
import { type Stack, startStack, untilItWrites } from './stack.ts';

const kills = Number(process.env.PKBACKUP_TEST_DRILL_KILLS ?? 1);

interface Drilled {
  readonly recovery_ms: number;
  readonly duration_ms: number;
  readonly drills: { store: string; ok: boolean; recovery_ms: number; samples_asked: number }[];
}

/** Every byte of the live stores, and since when their containers run. */
async function liveState({ directory, containers, volumes }: Stack): Promise<unknown> {
  const events = join(directory, 'events');
  const hashOf = (name: string) =>
    createHash('sha256')
      .update(readFileSync(join(events, name)))
      .digest('hex');
  return {
    events: readdirSync(events).map((name) => [name, hashOf(name)]),
    containers: await Promise.all([...containers.values()].map(stateOf)),
    volumes: await Promise.all(volumes.map(listingOf)),
  };
}

test('a set comes back in a drill, store by store, and neither verify nor drill touches what is live', {
  timeout: 600_000 + kills * 120_000,
}, async () => {
  await using stack = await startStack('');
  await untilItWrites(stack);
  const json = async (...args: string[]) => {
    const options = { cwd: stack.directory, env: liveDocker };
    const { exitCode, stdout, stderr } = await pkbackup([...args, '--json'], options);
    expect(exitCode, stderr).toBe(0);
    return JSON.parse(stdout);
  };
  const { set_id } = await json('backup');

  for (const id of stack.containers.values()) await containerOf(id).pause();
  try {
    const before = await liveState(stack);
    expect(JSON.stringify(before)).toContain('paused');
    expect(await json('verify', set_id, '--level', 'content')).toMatchObject({ ok: true });
    const drilled: Drilled = await json('drill', set_id);
    expect(await liveState(stack)).toEqual(before);

    expect(drilled.drills.map(({ store }) => store).toSorted()).toEqual([
      'events',
      'graph',
      'rows',
      'vectors',
    ]);
    const times = drilled.drills.map(({ store, recovery_ms }) => `${store} ${recovery_ms} ms`);
    expect(drilled.recovery_ms).toBe(drilled.drills.reduce((sum, { recovery_ms }) => sum + recovery_ms, 0));
    for (const { recovery_ms } of drilled.drills) expect(recovery_ms).toBeGreaterThan(0);
    process.stdout.write(
      `recovery: ${times.join(', ')}; in all ${drilled.recovery_ms} ms, with all checks ${drilled.duration_ms} ms\n`,
    );
    const { stores } = await json('list');
    expect(JSON.stringify(stores)).toContain('recovery_ms');

    const killed = { cwd: stack.directory, backups: [set_id], kills, wholeMs: drilled.duration_ms };
    process.stdout.write(`${await killDrills(killed)}\n`);
    expect(await liveState(stack)).toEqual(before);
  } finally {
    for (const id of stack.containers.values()) await containerOf(id).unpause();
  }
});
