// docs/verify.md has a table of the damage that the conformance suite plants in real backups, and what finds it: all of it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadSeeds, type Subject } from './conformance.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/verify.md'), 'utf8');

test('the table in the docs is what the conformance suite plants and finds', async () => {
  const seeds = await loadSeeds();
  // What is planted names the subject's containers only when it is planted.
  const nobody = { containers: [] } as unknown as Subject;
  const planted = seeds.flatMap(({ kind, planted }) =>
    (planted?.(nobody) ?? []).map(({ what, foundBy }) => `${kind} | ${what} | ${foundBy}`),
  );
  const rows = page.split('\n').flatMap((line) => {
    const [, kind = '', what = '', foundBy = ''] = line.split('|').map((cell) => cell.trim());
    return /^`(content|drill)`$/.test(foundBy) ? [[kind, what, foundBy].join(' | ').replaceAll('`', '')] : [];
  });
  expect(rows.toSorted()).toEqual([...new Set(planted)].toSorted());
  expect(new Set(seeds.map(({ kind }) => kind))).toEqual(new Set(rows.map((row) => row.split(' | ')[0])));
});
