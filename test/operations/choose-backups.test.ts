// Which backups are verified: by name, by store, by age, by turns.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { backup } from '../../src/operations/backup.ts';
import { type BackupChoice, chooseBackups } from '../../src/operations/choose-backups.ts';
import { verify } from '../../src/operations/verify.ts';
import { metadataNameOf } from '../../src/repository/index.ts';
import { directoryStore, makeRun, type RunFixture } from './run-fixture.ts';

let fixture: RunFixture;
/** By the day of June on which it is said to have been made: `memory 1` to `memory 4`, `notes 3`. */
const names = new Map<string, string>();

beforeAll(async () => {
  fixture = makeRun();
  for (const [name, days] of [
    ['memory', [1, 2, 3, 4]],
    ['notes', [3]],
  ] as const) {
    mkdirSync(join(fixture.directory, name));
    writeFileSync(join(fixture.directory, name, 'one'), 'content');
    for (const day of days) await backUp(name, day);
  }
});
afterAll(() => fixture[Symbol.dispose]());

async function backUp(name: string, day: number): Promise<void> {
  const { run, directory } = fixture;
  const { stores } = await backup(run, { stores: [directoryStore(join(directory, name), name)] });
  const [made] = stores;
  if (!made?.ok || !made.backup) throw new Error('nothing was backed up');
  const { stem } = made.backup;
  names.set(stem, `${name} ${day}`);
  const path = join(run.repository.directory, metadataNameOf(stem));
  const metadata = { ...JSON.parse(readFileSync(path, 'utf8')), created_at: `2026-06-0${day}T12:00:00Z` };
  writeFileSync(path, JSON.stringify(metadata));
}

async function chosen(choice: BackupChoice): Promise<string[]> {
  const found = await chooseBackups(await fixture.run.repository.list(), choice);
  return found.map((target) => (target.metadata ? (names.get(target.stem) ?? '') : target.path)).toSorted();
}

describe('what is chosen', () => {
  const since = new Date('2026-06-03T12:00:00Z');
  test.each<[string, BackupChoice, string[]]>([
    ['nothing said: the newest of every store', { backups: [] }, ['memory 4', 'notes 3']],
    ['a store: its newest', { backups: ['memory'] }, ['memory 4']],
    ['a backup', { backups: ['memory@3'] }, ['memory 2']],
    [
      'a store and a backup of it',
      { backups: ['memory', 'memory@1', 'notes@latest'] },
      ['memory 4', 'notes 3'],
    ],
    ['all', { backups: [], all: true }, ['memory 1', 'memory 2', 'memory 3', 'memory 4', 'notes 3']],
    ['all of a store', { backups: ['notes'], all: true }, ['notes 3']],
    ['since a moment', { backups: [], since }, ['memory 3', 'memory 4', 'notes 3']],
    ['since a moment, of a store', { backups: ['memory'], since }, ['memory 3', 'memory 4']],
    ['a sample of more than there is', { backups: ['notes'], sample: 9 }, ['notes 3']],
  ])('%s', async (_what, choice, expected) => {
    expect(await chosen(choice)).toEqual(expected);
  });

  test('a backup is not chosen from', async () => {
    const choosing = chosen({ backups: ['memory@1'], all: true });
    await expect(choosing).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringContaining('"memory@1"'),
    });
    await expect(chosen({ backups: ['memroy'] })).rejects.toMatchObject({ code: 'not_found' });
  });

  test('samples get round to every backup before they come back to one', async () => {
    const seen: string[] = [];
    for (let night = 0; night < 5; night += 1) {
      const { backups, ok } = await verify(fixture.run, { backups: [], sample: 1, level: 'checksum' });
      expect(ok).toBe(true);
      seen.push(...backups.map(({ name }) => names.get(name) ?? ''));
    }
    expect(seen.toSorted()).toEqual([...names.values()].toSorted());
    expect(await chosen({ backups: [], sample: 1 })).toEqual([seen[0]]);
  });
});
