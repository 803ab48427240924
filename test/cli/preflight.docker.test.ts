// What is found on a live server before anything is published: the wrong mount, nothing in it, nine tenths gone.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { requireTestbed } from '../../testbed/index.ts';
import { makeVolume, stateOf, uniqueName } from '../docker/bed.ts';
import { type Chroma, startChroma } from '../stores/chroma-client.ts';
import { lines, makeDirectory, pkbackup } from './program.ts';

beforeAll(() => requireTestbed('chromadb'));

let name: string;
let cwd: string;
beforeEach(() => {
  name = uniqueName('vectors');
  cwd = makeDirectory({ 'pkbackup.yaml': `stores: { vectors: { kind: chromadb, container: ${name} } }\n` });
});

const backup = async (...flags: string[]) => {
  const env = { DOCKER_HOST: process.env.DOCKER_HOST ?? '' };
  const { exitCode, stderr } = await pkbackup(['backup', '--quiet', ...flags], { cwd, env });
  return { exitCode, said: lines(stderr) };
};
const published = () => {
  const repository = join(cwd, 'backups');
  return existsSync(repository) ? readdirSync(repository).filter((file) => file !== '.pkbackup') : [];
};

/** It was neither stopped nor paused. */
async function isUntouched({ id }: Chroma, act: () => Promise<void>): Promise<void> {
  const before = await stateOf(id);
  await act();
  expect(await stateOf(id)).toEqual(before);
}

test('a volume that is mounted at the wrong path is refused, and nobody is stopped for it', async () => {
  const volume = await makeVolume();
  const chroma = await startChroma(volume, { name, path: '/chroma/chroma' });
  await chroma.add(await chroma.createCollection('notes'), 0, 20);
  await isUntouched(chroma, async () => {
    const { exitCode, said } = await backup();
    expect(exitCode).toBe(4);
    expect(said[0]).toBe(
      `error: vectors: data directory "/data" of container "${name}" is not on a mount (volume "${volume}" is mounted at "/chroma/chroma")`,
    );
    expect(said[1]).toMatch(/^hint: .*\/data/);
  });
  expect(published()).toEqual([]);
});

test('an empty store is refused; one that has lost nine tenths of its records is told, or refused', async () => {
  const chroma = await startChroma(await makeVolume(), { name });
  await isUntouched(chroma, async () => {
    const { exitCode, said } = await backup();
    expect(exitCode).toBe(4);
    expect(said[0]).toMatch(/^error: vectors: there is nothing to back up in /);
    expect(said[1]).toContain('--allow-empty');
  });
  expect(published()).toEqual([]);

  const collection = await chroma.createCollection('notes');
  await chroma.add(collection, 0, 100);
  expect(await backup()).toEqual({ exitCode: 0, said: [] });
  const before = published();
  const ids = Array.from({ length: 90 }, (_, at) => `r${at}`);
  const path = '/api/v2/tenants/default_tenant/databases/default_database/collections';
  await serving(() => chroma.call('POST', `${path}/${collection}/delete`, { ids }));
  const refused = await backup('--fail-on-shrink');
  expect(refused.exitCode).toBe(4);
  expect(refused.said[0]).toMatch(
    /^error: vectors: \d\d % less than in the last good backup: 100 records then, 10 now$/,
  );
  expect(published()).toEqual(before);
  expect(await stateOf(chroma.id)).toMatchObject({ status: 'running' });
  const told = await backup();
  expect(told.exitCode).toBe(0);
  expect(told.said[0]).toContain('100 records then, 10 now');
  expect(published().length).toBe(2 * before.length);
});

/** It was stopped for the copy a moment ago. */
async function serving(act: () => Promise<unknown>): Promise<void> {
  for (const giveUpAt = Date.now() + 120_000; ; await new Promise((resolve) => setTimeout(resolve, 200))) {
    try {
      await act();
      return;
    } catch (error) {
      if (Date.now() > giveUpAt) throw error;
    }
  }
}
