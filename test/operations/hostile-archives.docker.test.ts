// Hostile archives that are listed as good backups, restored into a volume, where the Engine unpacks as root.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { exitCodeOf } from '../../src/errors.ts';
import { restore } from '../../src/operations/restore.ts';
import { requireTestbed } from '../../testbed/index.ts';
import { helpersLeft, inVolume, listingOf, makeVolume } from '../docker/bed.ts';
import { hostileArchives, outcomeFor, tarOf } from './hostile-archives.ts';
import { makeRun, type RunFixture } from './run-fixture.ts';
import { seal } from './sealed-backup.ts';

let volume: string;
let before: string;
beforeAll(async () => {
  await requireTestbed('chromadb');
  volume = await makeVolume();
  await inVolume(volume, 'echo present > /v/present; ln /v/present /v/linked; touch -d @1200000000 /v/* /v');
  before = await listingOf(volume);
});
afterAll(async () => expect(await helpersLeft()).toEqual([]));

function optionsFor(fixture: RunFixture, archive: (typeof hostileArchives)[number], target: string) {
  const { metadata = {} } = archive;
  const stem = seal(fixture.run.repository.directory, {
    store: 'files',
    kind: 'volume',
    tar: tarOf(archive),
    metadata,
  });
  const stores = [{ name: 'files', kind: 'volume' as const, target: { volume: target } }];
  return { backup: stem, stores, safetyBackup: true, confirm: async () => true };
}

const parted = Object.groupBy(hostileArchives, (archive) =>
  outcomeFor(archive, 'volume') === 'restored' ? 'restored' : 'refused',
);

describe('into a volume', () => {
  test.each(parted.refused ?? [])('$what is refused before anything is written', async (archive) => {
    using fixture = makeRun();
    const error = await restore(fixture.run, optionsFor(fixture, archive, volume)).then(
      () => expect.fail('it was restored'),
      (thrown: Error) => thrown,
    );
    expect(error.message).toMatch(outcomeFor(archive, 'volume') as RegExp);
    expect([4, 5]).toContain(exitCodeOf(error));
    // Docker is not even asked where the archive alone shows it; else what was staged is gone again.
    if (exitCodeOf(error) === 4) return;
    expect(error.message).toMatch(/; the present data was not touched$/);
    expect(await listingOf(volume)).toBe(before);
  });

  test('none of them has changed anything', async () => expect(await listingOf(volume)).toBe(before));

  test('what data may well be like is restored, all of it', async () => {
    using fixture = makeRun();
    const target = await makeVolume();
    const all = parted.restored ?? [];
    const archive = {
      what: 'all of it',
      pieces: all.flatMap(({ pieces }) => pieces),
      outcome: 'restored',
    } as const;
    await restore(fixture.run, optionsFor(fixture, archive, target));
    const listing = await listingOf(target);
    const linesOf = (name: string) => listing.split('\n').find((line) => line.startsWith(`./${name}|`));
    for (const { path } of archive.pieces) expect(linesOf(path.slice(2)), path).toBeDefined();
    expect(linesOf('tool')).toContain('|f|6755|0:0|');
    expect(linesOf('pipe')).toContain('|p|');
    expect(linesOf('up2')).toContain('|l|');
  });
});
