// Every row with its twins: listed, verified, and restored or refused. What needs a server is in old-files.docker.test.ts.
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { list } from '../../src/operations/list.ts';
import { type RestoreOptions, restore } from '../../src/operations/restore.ts';
import type { Run } from '../../src/operations/run.ts';
import { verify } from '../../src/operations/verify.ts';
import { makeRun, type RunFixture } from '../operations/run-fixture.ts';
import { writeFiles } from './made-files.ts';
import { rows } from './rows.ts';

let fixture: RunFixture;
let run: Run;
beforeEach(() => {
  fixture = makeRun();
  run = { ...fixture.run, docker: () => Promise.reject(new Error('no Docker is needed here')) };
});
afterEach(() => fixture[Symbol.dispose]());

/** What there is, byte for byte and to the time. */
function printOf(directory: string): Record<string, string> {
  const entries = readdirSync(directory).flatMap((name): [string, string][] => {
    if (name === '.pkbackup') return [];
    const path = join(directory, name);
    const stats = lstatSync(path);
    if (stats.isDirectory()) return Object.entries(printOf(path));
    const content = stats.isSymbolicLink() ? readlinkSync(path) : readFileSync(path, 'base64');
    return [[path, `${stats.ino} ${stats.mtimeMs} ${content}`]];
  });
  return Object.fromEntries(entries);
}

const options = (backup: string, more: Partial<RestoreOptions>): RestoreOptions => ({
  backup,
  stores: [],
  safetyBackup: true,
  confirm: async () => true,
  ...more,
});

describe.each(rows)('$what', ({ name, files, listed, verified, notChecked, restored, refusedBy = [] }) => {
  test('is listed, verified, and restored or refused, and stays as it is', async () => {
    const { directory } = run.repository;
    writeFiles(directory, files);
    const before = printOf(directory);

    const found = (await list(run)).old.find((old) => old.name === name);
    expect(found?.what).toMatch(listed.what);
    if (listed.at) expect(found?.createdAt.toISOString()).toBe(listed.at);
    expect(found?.backup?.metadata.kind).toBe(listed.kind ?? found?.backup?.metadata.kind);
    expect(found?.backup?.store).toBe(listed.store ?? found?.backup?.store);
    expect((await list(run)).leftovers).toEqual([]);

    const { backups, ok } = await verify(run, { backups: [name], level: 'content' });
    expect(backups[0]?.findings.join('; ')).toMatch(verified === 'good' ? /^$/ : verified);
    expect(ok).toBe(verified === 'good');
    if (notChecked) expect(backups[0]?.notChecked.join('; ')).toMatch(notChecked);

    for (const store of refusedBy) {
      const refused = restore(run, options(name, { store: store.name, stores: [store] }));
      await expect(refused).rejects.toMatchObject({ code: 'bad_backup' });
    }
    if (restored instanceof RegExp) {
      const refused = restore(run, options(name, { to: join(fixture.directory, 'out') }));
      await expect(refused).rejects.toThrow(restored);
      expect(existsSync(join(fixture.directory, 'out'))).toBe(false);
    } else if (restored) {
      await restore(run, options(name, { to: join(fixture.directory, restored.to) }));
      for (const [path, content] of Object.entries(restored.gives)) {
        const is = readFileSync(join(fixture.directory, path));
        expect(is.equals(Buffer.from(content)), path).toBe(true);
      }
    }
    expect(printOf(directory)).toEqual(before);
  });
});

test('SQL of SQLite becomes the database that it was of', async () => {
  const row = rows.find(({ what }) => what === 'L11');
  writeFiles(run.repository.directory, row?.files ?? {});
  const path = join(fixture.directory, 'notes.db');
  await restore(run, options(row?.name ?? '', { to: path }));
  const database = new DatabaseSync(path);
  const bodies = database.prepare('SELECT body FROM notes ORDER BY id').all();
  expect(bodies.map(({ body }) => body)).toEqual(["it's; here", 'two\nlines']);
  expect(database.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'").all()).toHaveLength(1);
  database.close();
});
