// SIGKILL of the program at each step of a restore through the API of a ChromaDB, and in the middle of the renames: after the
// next command every collection is the old one or every one the new, with nothing left of us.
import process from 'node:process';
import { beforeAll, expect, test } from 'vitest';
import { requireTestbed } from '../../testbed/index.ts';
import { makeDirectory, pkbackup } from '../cli/program.ts';
import {
  expectHealed,
  type KillSubject,
  killedAtNote,
  killedSoonAfterNote,
  stepInJournal,
} from '../operations/restore-kills.ts';
import {
  addRecords,
  call,
  everyRecord,
  listCollections,
  makeCollection,
  startRemote,
} from './fixtures/remote-chroma.ts';

/** Kills at some moment; more with PKBACKUP_TEST_KILLS. */
const kills = Number(process.env.PKBACKUP_TEST_KILLS ?? 3);
const where = { database: 'default_database' };
const names = ['first', 'second', 'third'];
const counts = { old: 20, new: 30 };

let subject: KillSubject;

beforeAll(async () => {
  await requireTestbed('chromadb');
  const remote = await startRemote('chromadb');
  const put = async (which: 'old' | 'new') => {
    for (const { name } of await listCollections(remote, where)) {
      await call(remote, 'DELETE', `/tenants/default_tenant/databases/default_database/collections/${name}`);
    }
    for (const name of names) {
      const id = await makeCollection(remote, where, name);
      await addRecords(remote, where, id, { from: 0, count: counts[which], dimension: 4, prefix: which });
    }
  };
  const cwd = makeDirectory({
    'pkbackup.yaml': `stores:\n  data: { kind: chromadb, url: "${remote.url}" }\n`,
  });
  await put('new');
  expect(await pkbackup(['backup', '--quiet'], { cwd })).toMatchObject({ exitCode: 0 });
  await put('old');
  subject = {
    cwd,
    container: remote.id,
    reset: () => put('old'),
    async look() {
      const found = await listCollections(remote, where);
      expect(found.map(({ name }) => name).toSorted()).toEqual(names);
      const seen = new Set<string>();
      for (const { id } of found) {
        const { texts } = await everyRecord(remote, where, id);
        const which = texts[0]?.includes('"record":"old0"') ? 'old' : 'new';
        expect(texts).toHaveLength(counts[which]);
        seen.add(which);
      }
      expect(seen.size).toBe(1);
      return seen.has('old') ? 'old' : 'new';
    },
    names: async () => (await listCollections(remote, where)).map(({ name }) => name),
  };
});

test.each([
  ['staging', 1, 'old'],
  ['swapping', 2, 'old'],
  ['checked', 3, 'new'],
  ['kept', 4, 'new'],
] as const)('killed at "%s"', async (_, note, expected) => {
  const pid = await killedAtNote(subject, note);
  await expectHealed(subject, [pid], expected);
});

test('killed while it stages, while it renames, and after', async () => {
  for (let round = 0; round < kills; round += 1) {
    const note = 1 + (round % 2);
    const pid = await killedSoonAfterNote(subject, note, 1 + Math.random() * (note === 1 ? 300 : 60));
    const step = stepInJournal(subject);
    await expectHealed(subject, [pid], step === 'staging' || step === 'swapping' ? 'old' : 'new');
  }
});
