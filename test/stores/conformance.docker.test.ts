// Adding a store means adding a seed: a file in seeds/. Only one kind: npx vitest run --project docker -t "kind falkordb"
import { expect, test } from 'vitest';
import { stores } from '../../src/stores/index.ts';
import { conformance, loadSeeds } from './conformance.ts';

const seeds = await loadSeeds();

test('every kind of store has a seed', () => {
  expect(stores.map(({ kind }) => kind).filter((kind) => !seeds.some((seed) => seed.kind === kind))).toEqual(
    [],
  );
});

for (const seed of seeds) if (!seed.isSlow) conformance(seed);
