// What a restore proves while it stages: a backup whose checksum is right and whose content is not is refused before the swap.
import fs from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { exitCodeOf } from '../../src/errors.ts';
import type { Event } from '../../src/events.ts';
import { backup } from '../../src/operations/backup.ts';
import { restore } from '../../src/operations/restore.ts';
import { verify } from '../../src/operations/verify.ts';
import type { Backup, Metadata } from '../../src/repository/index.ts';
import { describeTree } from '../archive/hostile-tree.ts';
import { directoryStore, makeRun, type RunFixture } from './run-fixture.ts';
import { reseal, withFile } from './sealed-backup.ts';

async function arrange(fixture: RunFixture) {
  const path = join(fixture.directory, 'around', 'memory');
  fs.mkdirSync(path, { recursive: true });
  for (const name of ['a', 'b', 'c']) fs.writeFileSync(join(path, name), `of the backup: ${name}`);
  const stores = [directoryStore(path)];
  const { stores: done } = await backup(fixture.run, { stores });
  const [made] = done;
  if (!made?.ok || !made.backup) throw new Error('there is no backup');
  fs.writeFileSync(join(path, 'a'), 'present');
  return { path, made: made.backup, options: { backup: made.backup.stem, stores, safetyBackup: true } };
}

const yes = async () => true;
const other = (tar: Buffer) => withFile(tar, './b', () => Buffer.from('of somebody else'));
const same = (tar: Buffer) => tar;

const forgeries: [string, (made: Backup) => Promise<void>, RegExp][] = [
  ['another content', (made) => reseal(made, other), /"b" is not what it was at the backup|names and sizes/],
  [
    'fewer entries than it has',
    (made) => reseal(made, same, more(made, 'entries', -1)),
    /entries, its metadata says/,
  ],
  [
    'more entries than it has',
    (made) => reseal(made, same, more(made, 'entries', 1)),
    /entries, its metadata says/,
  ],
  [
    'less than it holds',
    (made) => reseal(made, same, more(made, 'raw_size_bytes', -512)),
    /holds more than the/,
  ],
  [
    'more than it holds',
    (made) => reseal(made, same, more(made, 'raw_size_bytes', 512)),
    /bytes of tar, its metadata/,
  ],
  ['an end that is missing', (made) => reseal(made, (tar) => tar.subarray(0, -1024)), /ends in the middle/],
];

function more(made: Backup, key: 'entries' | 'raw_size_bytes', by: number): Partial<Metadata> {
  return { [key]: (made.metadata[key] ?? 0) + by };
}

test.each(forgeries)(
  '%s under a right checksum is refused, and the present data stays',
  async (_what, forge, finding) => {
    using fixture = makeRun();
    const { path, made, options } = await arrange(fixture);
    await forge(made);
    const before = describeTree(join(path, '..'));
    const error = await restore(fixture.run, { ...options, confirm: yes }).then(
      () => expect.fail('it was restored'),
      (thrown: Error) => thrown,
    );
    expect(error.message).toMatch(finding);
    expect(error.message).toMatch(/is not a good backup: .*; the present data was not touched$/);
    expect(exitCodeOf(error)).toBe(4);
    const { '.': _, ...after } = describeTree(join(path, '..'));
    const { '.': __, ...expected } = before;
    expect(after).toEqual(expected);
    const { ok } = await verify(fixture.run, { backups: [made.stem], level: 'content' });
    expect(ok).toBe(false);
  },
);

test('the checksum is looked at before anybody is asked, the rest in the reading that stages', async () => {
  using fixture = makeRun();
  const { path, made, options } = await arrange(fixture);
  const events: Event[] = [];
  const run = { ...fixture.run, emit: (event: Event) => void events.push(event) };
  await restore(run, { ...options, confirm: yes });
  expect(fs.readFileSync(join(path, 'a'), 'utf8')).toBe('of the backup: a');
  const steps = events.flatMap((event) => (event.type === 'step' ? [event.message] : []));
  expect(steps.slice(0, 3)).toEqual([
    'the checksum is good; archive and content are proved while they are staged',
    'archive and content are good',
    'staged beside the present data',
  ]);
  const bytes = fs.readFileSync(made.path);
  bytes[bytes.length >> 1] = bytes[bytes.length >> 1]! ^ 1;
  fs.writeFileSync(made.path, bytes);
  const asked = async () => expect.fail('it was asked');
  const again = restore(fixture.run, { ...options, confirm: asked });
  await expect(again).rejects.toThrow(/the checksum is wrong/);
});
