// A year of backups under the policies of the replaced scripts and of restic's documentation: the same is kept as by restic.
// No difference was found; make-golden.sh says how the file was made. Unlike restic we also keep what is untouchable (the
// newest good, verified, drilled), and whole sets, of which this history has none.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { planRetention, type RetentionPolicy } from '../../src/retention/index.ts';

interface Golden {
  times: string[];
  policies: Record<string, { policy: RetentionPolicy; kept: string[] }>;
}

const golden: Golden = JSON.parse(readFileSync(join(import.meta.dirname, 'golden', 'restic.json'), 'utf8'));
const backups = golden.times.map((time) => ({ id: time, store: 'a', createdAt: new Date(time) }));

test.each(Object.keys(golden.policies))('the policy "%s" keeps what restic keeps', (name) => {
  const { policy, kept } = golden.policies[name]!;
  const plan = planRetention(
    backups,
    { ...policy, timeZone: 'UTC' },
    { now: new Date('2026-11-20T00:00:00Z') },
  );
  const ours = plan.filter(({ keep }) => keep).map(({ id }) => id);
  expect(ours.sort()).toEqual(kept);
});
