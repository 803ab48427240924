// A drill of a server and of a volume, killed; test/end-to-end/drill.docker.test.ts does it with a whole set.
import process from 'node:process';
import { beforeAll, expect, test } from 'vitest';
import { requireTestbed } from '../../testbed/index.ts';
import { makeDirectory, pkbackup } from '../cli/program.ts';
import { inVolume, makeVolume, uniqueName } from '../docker/bed.ts';
import { killDrills, liveDocker } from '../faults/kill-drills.ts';
import { startChroma } from '../stores/chroma-client.ts';

/** How often it is killed; more with PKBACKUP_TEST_DRILL_KILLS. */
const kills = Number(process.env.PKBACKUP_TEST_DRILL_KILLS ?? 4);
let cwd: string;

beforeAll(async () => {
  await requireTestbed('chromadb');
  const [volume, name, files] = [await makeVolume(), uniqueName('chroma'), await makeVolume()];
  const chroma = await startChroma(volume, { name });
  await chroma.add(await chroma.createCollection('documents'), 0, 300);
  await inVolume(files, 'seq 1000 > /v/one; seq 2000 > /v/two');
  const stores = `vectors: { kind: chromadb, container: ${name} }\n  files: { kind: volume, volume: ${files} }`;
  cwd = makeDirectory({ 'pkbackup.yaml': `stores:\n  ${stores}\n` });
  const made = await pkbackup(['backup', '--quiet'], { cwd, env: liveDocker });
  expect(made.exitCode, made.stderr).toBe(0);
});

test('killed at random moments, a drill leaves nothing after the next command', {
  timeout: 240_000 + kills * 60_000,
}, async () => {
  process.stdout.write(`${await killDrills({ cwd, kills })}\n`);
});
