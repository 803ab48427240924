// Hostile archives that are listed as good backups, restored into a directory of this host.
import { existsSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { exitCodeOf } from '../../src/errors.ts';
import { restore } from '../../src/operations/restore.ts';
import { verify } from '../../src/operations/verify.ts';
import { describeTree, isRoot } from '../archive/hostile-tree.ts';
import { hostileArchives, outcomeFor, outside, tarOf } from './hostile-archives.ts';
import { directoryStore, makeRun, type RunFixture } from './run-fixture.ts';
import { seal } from './sealed-backup.ts';

const parted = Object.groupBy(hostileArchives, (archive) =>
  outcomeFor(archive, 'directory') === 'restored' ? 'restored' : 'refused',
);

function arrange(fixture: RunFixture, archive: (typeof hostileArchives)[number]) {
  const around = join(fixture.directory, 'around');
  const path = join(around, 'memory');
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'present'), 'present');
  writeFileSync(join(around, 'present'), 'beside');
  const { metadata = {} } = archive;
  const stem = seal(fixture.run.repository.directory, {
    store: 'memory',
    kind: 'directory',
    tar: tarOf(archive),
    metadata,
  });
  const options = { backup: stem, stores: [directoryStore(path)], safetyBackup: true };
  return { around, path, options: { ...options, confirm: async () => true } };
}

describe('into a directory', () => {
  test.each(parted.refused ?? [])('$what is refused before anything is written', async (archive) => {
    using fixture = makeRun();
    const { around, options } = arrange(fixture, archive);
    const before = describeTree(around);
    const error = await restore(fixture.run, options).then(
      () => expect.fail('it was restored'),
      (thrown: Error) => thrown,
    );
    expect(error.message).toMatch(outcomeFor(archive, 'directory') as RegExp);
    expect(error.message).not.toContain('\n');
    expect([4, 5]).toContain(exitCodeOf(error));
    if (exitCodeOf(error) === 5) expect(error.message).toMatch(/; the present data was not touched$/);
    expect(describeTree(around)).toEqual({ ...before, '.': { ...before['.'], mtime: expect.any(Number) } });
    expect(existsSync(join('/tmp', outside))).toBe(false);
    // Asking is enough to know it, where it is known without unpacking.
    const { ok } = await verify(fixture.run, { backups: [options.backup], level: 'archive' });
    expect(ok).toBe(exitCodeOf(error) === 5);
  });

  test.runIf(process.platform === 'linux').each(parted.restored ?? [])('$what: restored', async (archive) => {
    using fixture = makeRun();
    const { path, options } = arrange(fixture, archive);
    await restore(fixture.run, options);
    const names = archive.pieces.map((piece) => piece.path.slice(2));
    expect(readdirSync(path).toSorted()).toEqual(['innocent', ...names].toSorted());
    for (const { path: name, mode } of archive.pieces) {
      const found = lstatSync(join(path, name)).mode & 0o7777;
      // Who is not root gives files no owner, and then no set-id bits.
      if (mode !== undefined) expect(found).toBe(isRoot ? mode : mode & 0o1777);
    }
  });
});
