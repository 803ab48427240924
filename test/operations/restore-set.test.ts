import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { backup } from '../../src/operations/backup.ts';
import type { ConfirmedPlan } from '../../src/operations/restore.ts';
import { isSet, restoreSet } from '../../src/operations/restore-set.ts';
import { directoryStore, makeRun, type RunFixture } from './run-fixture.ts';

let fixture: RunFixture;
let setId: string;
const names = ['one', 'two', 'three'];
const pathOf = (name: string) => join(fixture.directory, name);
const fileOf = (name: string) => join(pathOf(name), 'file');
const put = (content: string) => {
  for (const name of names) writeFileSync(fileOf(name), content);
};
const found = () => names.map((name) => readFileSync(fileOf(name), 'utf8'));
const stores = () => names.map((name) => directoryStore(pathOf(name), name));
/** Neither staged nor previous data, and no journal. */
const left = () => [
  ...names.flatMap((name) => readdirSync(pathOf(name)).filter((entry) => entry !== 'file')),
  ...readdirSync(join(fixture.directory, 'backups', '.pkbackup'), { recursive: true }).filter((name) =>
    String(name).endsWith('.restore.json'),
  ),
];

beforeEach(async () => {
  fixture = makeRun();
  for (const name of names) mkdirSync(pathOf(name));
  put('saved');
  ({ setId } = await backup(fixture.run, { stores: stores() }));
  put('present');
});
afterEach(() => fixture[Symbol.dispose]());

function restored(
  more: {
    to?: string;
    stores?: ReturnType<typeof stores>;
    only?: string[];
    confirm?: (plans: readonly ConfirmedPlan[]) => Promise<boolean>;
  } = {},
) {
  const options = { setId, only: [], stores: stores(), safetyBackup: true, confirm: async () => true };
  return restoreSet(fixture.run, { ...options, ...more });
}

describe('the restore of a set', () => {
  it('restores all of its stores, in the order of the configuration, and keeps what was there', async () => {
    expect(await isSet(fixture.run, setId)).toBe(true);
    const results = await restored();
    expect(results.map(({ backup: { store } }) => store)).toEqual(names);
    expect(found()).toEqual(['saved', 'saved', 'saved']);
    expect(results.every(({ safetyBackup }) => safetyBackup?.metadata.safety)).toBe(true);
    expect(left()).toEqual([]);
  });

  it('puts what is in no compose project where it is configured, and never over what is there', async () => {
    const project = { to: 'project:other' };
    await expect(restored(project)).rejects.toThrow(/not empty|is there already/);
    expect(found()).toEqual(['present', 'present', 'present']);
    for (const name of names) rmSync(pathOf(name), { recursive: true });
    await expect(restored({ ...project, stores: [] })).rejects.toMatchObject({
      code: 'not_found',
      message: 'a directory is in no compose project, and "one" is not configured',
    });
    await restored(project);
    expect(found()).toEqual(['saved', 'saved', 'saved']);
    for (const to of ['project:', 'project:Other', 'project:a/b'])
      await expect(restored({ to })).rejects.toMatchObject({ code: 'usage' });
  });

  it('restores those that are named, and no others', async () => {
    await restored({ only: ['three', 'one'] });
    expect(found()).toEqual(['saved', 'present', 'saved']);
    await expect(restored({ only: ['four'] })).rejects.toMatchObject({
      code: 'not_found',
      hint: 'it has one, two, three',
    });
  });

  it('shows all plans before it begins, and changes nothing where they are refused', async () => {
    let shown: readonly ConfirmedPlan[] = [];
    const confirm = async (plans: readonly ConfirmedPlan[]) => {
      shown = plans;
      return false;
    };
    await expect(restored({ confirm })).rejects.toMatchObject({ code: 'cancelled' });
    expect(shown.map(({ replaces }) => replaces)).toEqual([true, true, true]);
    expect(found()).toEqual(['present', 'present', 'present']);
  });

  it('touches nothing where one backup is not good', async () => {
    const { backups } = await fixture.run.repository.list();
    const path = backups.find(({ store }) => store === 'two')?.path ?? '';
    const bytes = readFileSync(path);
    bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
    writeFileSync(path, bytes);
    await expect(restored()).rejects.toMatchObject({ code: 'bad_backup' });
    expect(found()).toEqual(['present', 'present', 'present']);
    expect(left()).toEqual([]);
  });

  it('puts all of them back where one fails after others were swapped', async () => {
    const { run } = fixture;
    const events: string[] = [];
    // The last of the three loses its staged data before its turn to be swapped comes.
    const emit: typeof run.emit = (event) => {
      events.push(event.type);
      if (event.type !== 'step' || event.store !== 'three' || !event.message.startsWith('staged')) return;
      const [staged = ''] = readdirSync(fixture.directory).filter((name) =>
        /pkbackup.*three|three.*pkbackup/.test(name),
      );
      expect(staged).not.toBe('');
      rmSync(join(fixture.directory, staged), { recursive: true });
    };
    const restoring = restoreSet(
      { ...run, emit },
      { setId, only: [], stores: stores(), safetyBackup: true, confirm: async () => true },
    );
    await expect(restoring).rejects.toMatchObject({
      code: 'restore_failed',
      message: expect.stringContaining('the previous data of all 3 stores is back in place'),
    });
    expect(found()).toEqual(['present', 'present', 'present']);
    expect(left()).toEqual([]);
  });

  it('says which stores of a partial set stay as they are', async () => {
    const gone = directoryStore(join(fixture.directory, 'gone'), 'gone');
    ({ setId } = await backup(fixture.run, { stores: [...stores(), gone] }));
    await restored();
    expect(fixture.events).toContainEqual({
      type: 'warning',
      message: `set "${setId}" has no backup of "gone": it stays as it is`,
    });
  });
});
