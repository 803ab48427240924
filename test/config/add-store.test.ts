import { describe, expect, it } from 'vitest';
import { addStores } from '../../src/config/add-store.ts';
import { parseConfig } from '../../src/config/config-file.ts';
import { draftConfig } from '../../src/config/draft.ts';
import type { FoundStore } from '../../src/config/found-stores.ts';

const uploads: FoundStore = {
  name: 'uploads',
  kind: 'volume',
  target: { volume: 'stack_uploads' },
  origin: 'volume "stack_uploads"',
  description: 'mounted by "app" at /uploads',
  clients: [],
};
const line =
  '# volume "stack_uploads", mounted by "app" at /uploads\n  uploads: { kind: volume, volume: stack_uploads }\n';
const storesOf = (text: string) => parseConfig(text, '/srv/pkbackup.yaml', 'pkbackup.yaml', {}).stores;

describe('a store is added to', () => {
  it.each([
    ['stores on a line each', 'stores:\n  a: { kind: volume, volume: aa }\n', ''],
    ['nested keys', 'stores:\n  a:\n    kind: volume\n    volume: aa\n', ''],
    ['a comment behind the last', 'stores:\n  a: { kind: volume, volume: aa } # mine\n', ''],
    [
      'other keys after the stores',
      'stores:\n  a: { kind: volume, volume: aa }\n',
      '\n# how hard\nparallel: 3\n',
    ],
    ['a list that goes on', 'stores:\n  a: { kind: directory, path: /a, exclude: [\n    x,\n    ] }\n', ''],
  ])('%s', (_what, before, after) => {
    const text = addStores(`${before}${after}`, [uploads], '/srv');
    expect(text).toBe(`${before}  ${line}${after}`);
    expect(storesOf(text).map(({ name }) => name)).toEqual(['a', 'uploads']);
  });

  it('a file without stores, and one without an end of line', () => {
    expect(addStores('parallel: 3', [uploads], '/srv')).toBe(`parallel: 3\nstores:\n  ${line}`);
    expect(addStores('', [uploads], '/srv')).toBe(`stores:\n  ${line}`);
    const text = addStores('stores:\n    a: { kind: volume, volume: aa }', [uploads], '/srv');
    expect(text).toBe(`stores:\n    a: { kind: volume, volume: aa }\n    ${line.replace('\n  ', '\n    ')}`);
  });

  it('a file of Windows, whose lines end as they did', () => {
    const text = addStores('stores:\r\n  a: { kind: volume, volume: aa }\r\n', [uploads], '/srv');
    expect(text.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
    expect(storesOf(text)).toHaveLength(2);
  });

  it('a file in one piece, whatever is in the names', () => {
    const text = addStores('', [{ ...uploads, origin: 'x\nafter_backup: prune' }], '/srv');
    expect(parseConfig(text, '/srv/pkbackup.yaml', 'pkbackup.yaml', {}).afterBackup).toBeUndefined();
  });

  it('no file that has them in one line: that is refused, and nothing is guessed', () => {
    for (const stores of ['{ a: { kind: volume, volume: aa } }', '', '{}']) {
      expect(() => addStores(`stores: ${stores}\n`, [uploads], '/srv')).toThrow('not written one on a line');
    }
  });
});

describe('a config file that is drafted', () => {
  const draft = (stores: FoundStore[], leftOut: FoundStore[] = []) =>
    draftConfig({
      directory: '/srv',
      repository: './backups',
      project: 'stack\n# x',
      stores,
      leftOut,
      now: new Date('2026-11-20T12:00:00Z'),
    });

  it('is what it says, whatever is in the names that were found', () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a placeholder of the config file
    const path = '/srv/a: ${HOME} # {"}';
    const evil = 'x\nafter_backup: prune\u2028y';
    const odd: FoundStore[] = [
      { ...uploads, name: 'on', target: { volume: '1' } },
      { ...uploads, name: 'b', kind: 'directory', target: { path } },
      { ...uploads, name: 'c', description: evil, origin: evil },
    ];
    const text = draft(odd, [{ ...uploads, name: 'd', description: evil }]);
    const config = parseConfig(text, '/srv/pkbackup.yaml', 'pkbackup.yaml', { HOME: 'wrong' });
    expect(config.afterBackup).toBeUndefined();
    expect(config.stores.map(({ name, target }) => [name, target])).toEqual([
      ['on', { volume: '1' }],
      ['b', { path }],
      ['c', { volume: 'stack_uploads' }],
    ]);
    expect(config.repository).toBe('/srv/backups');
    expect(config.retention).toEqual({ keepDaily: 7, keepWeekly: 4, keepMonthly: 3 });
  });

  it('has paths below it relative, and others as they are', () => {
    const at = (path: string): FoundStore => ({ ...uploads, name: 'p', kind: 'sqlite', target: { path } });
    expect(draft([at('/srv/data/a.db')])).toContain('path: ./data/a.db }');
    expect(draft([at('/var/a.db')])).toContain('path: /var/a.db }');
  });
});
