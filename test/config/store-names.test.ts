import { expect, it } from 'vitest';
import { storeNameFrom, withUniqueNames } from '../../src/config/store-names.ts';

it.each([
  ['vectors', 'vectors'],
  ['my vectors!', 'my-vectors'],
  ['_data', 'data'],
  ['nightly-backup-db', 'nightly-db'],
  ['con', 'store-con'],
  ['../../etc', 'etc'],
  ['***', 'store'],
  ['x'.repeat(200), 'x'.repeat(100)],
])('%j becomes the name %j', (text, name) => {
  expect(storeNameFrom(text)).toBe(name);
});

it('names that are alike are told apart by the project, and then by numbers', () => {
  const named = (name: string, project?: string) => ({ name, ...(project === undefined ? {} : { project }) });
  const stores = [
    named('vectors', 'private'),
    named('Vectors', 'work'),
    named('graph', 'work'),
    named('files'),
    named('files'),
  ];
  expect(withUniqueNames(stores, ['graph']).map(({ name }) => name)).toEqual([
    'private-vectors',
    'work-Vectors',
    'graph-2',
    'files',
    'files-2',
  ]);
});
