// The model of model.ts: a minute here, ten in CI, an hour in npm run test:nightly (PKBACKUP_TEST_MODEL_SECONDS).
// PKBACKUP_TEST_SEED plays a run again.
import process from 'node:process';
import { expect, test } from 'vitest';
import { runModel } from './model.ts';

const seconds = Number(process.env.PKBACKUP_TEST_MODEL_SECONDS ?? (process.env.CI ? 600 : 60));
const seed = Number(process.env.PKBACKUP_TEST_SEED ?? Date.now() % 1_000_000_000);

test(`${seconds} s of random actions, kills and damage never diverge from the model`, {
  timeout: seconds * 1000 + 120_000,
  // A second try is another history: it would hide what the first has found.
  retry: 0,
}, () => {
  process.stdout.write(`model: seed ${seed}, ${seconds} s\n`);
  const { actions, kills } = runModel(seed, seconds);
  process.stdout.write(`model: seed ${seed}: ${actions} actions, ${kills} kills\n`);
  expect(actions).toBeGreaterThan(seconds / 30);
});
