import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Overview, openRepository } from '../../src/repository/index.ts';
import type { Metadata } from '../../src/repository/metadata.ts';

// Disks of other systems are looked at anew each time.
const remembers = process.platform === 'linux';
const hourMs = 3600 * 1000;

let directory: string;
function makeRepository(): void {
  directory = mkdtempSync(join(tmpdir(), 'pkbackup-overview-'));
  mkdirSync(join(directory, '.pkbackup'), { mode: 0o700 });
  for (let at = 0; at < 55; at += 1) for (const store of ['rows', 'graph']) put(store, at);
}
beforeEach(() => {
  makeRepository();
  // What was made just now is not remembered: an hour later it is.
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + hourMs });
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(directory, { recursive: true, force: true });
});

const inDirectory = (name: string) => join(directory, name);
const cachePath = () => inDirectory('.pkbackup/overview.cache');
const stemAt = (store: string, at: number) => {
  const created = new Date(Date.UTC(2024, 0, 1 + at));
  return `${store}-backup-${created.toISOString().slice(0, 10).replaceAll('-', '')}-000000`;
};
const archiveAt = (store: string, at: number) => inDirectory(`${stemAt(store, at)}.tar.gz`);
const metadataAt = (store: string, at: number) => inDirectory(`${stemAt(store, at)}.metadata.json`);

function put(store: string, at: number, more: Partial<Metadata> = {}): void {
  writeFileSync(archiveAt(store, at), '0123456789');
  putMetadata(store, at, more);
}

/** As pkbackup does it. */
function putMetadata(store: string, at: number, more: Partial<Metadata>): void {
  const metadata = {
    schema_version: 1,
    backup_file: `${stemAt(store, at)}.tar.gz`,
    created_at: new Date(Date.UTC(2024, 0, 1 + at)).toISOString(),
    store,
    kind: 'directory',
    source: {},
    size_bytes: 10,
    sha256: 'a'.repeat(64),
    counts: {},
    checks: [],
    ...more,
  };
  const partial = `${metadataAt(store, at)}.new`;
  writeFileSync(partial, JSON.stringify(metadata));
  renameSync(partial, metadataAt(store, at));
}

/** As the command does it: heal, then list. */
async function overview(): Promise<Overview> {
  const repository = openRepository(directory);
  await repository.heal({ signal: new AbortController().signal });
  return repository.overview();
}

/** From the files alone: what others may write to is neither read nor written. */
async function without<T>(make: () => Promise<T>): Promise<T> {
  chmodSync(inDirectory('.pkbackup'), 0o777);
  try {
    return await make();
  } finally {
    chmodSync(inDirectory('.pkbackup'), 0o700);
  }
}

/** As an old script copied it. */
const oldDatabase = `SQLite format 3\0${'x'.repeat(4096)}`;
const tick = () => wait(10);
const storesOf = ({ stores }: Overview) =>
  stores.map(({ store, backups, others }) => [store, backups.map(({ reference }) => reference), others]);
const newest20 = (store: string) => Array.from({ length: 20 }, (_, at) => `${store}@${at + 1}`);

describe('what is shown of a store', () => {
  test('is the newest, and of the others what matters', async () => {
    const passed = (level: 'archive' | 'drill') => ({ at: '2024-02-01T00:00:00Z', level, ok: true }) as const;
    putMetadata('rows', 5, { pinned: 'before 1.5' });
    putMetadata('rows', 6, { checks: [{ at: '2024-02-01T00:00:00Z', level: 'archive', ok: false }] });
    putMetadata('rows', 7, { checks: [passed('archive')] });
    putMetadata('rows', 8, { checks: [passed('archive'), passed('drill')] });
    putMetadata('rows', 9, { safety: true });
    putMetadata('rows', 10, { safety: true });
    truncateSync(archiveAt('rows', 4), 3);
    const { stores, leftovers } = await overview();
    const [, rows] = stores;
    expect(rows?.backups.map(({ reference }) => reference).slice(20)).toEqual([
      'rows@pre-restore',
      'rows@45',
      'rows@47',
      'rows@48',
    ]);
    expect(rows?.others).toEqual({ count: 54 - 24, oldest: new Date(Date.UTC(2024, 0, 1)) });
    expect(leftovers).toMatchObject([{ name: `${stemAt('rows', 4)}.tar.gz`, state: 'damaged' }]);
  });

  test('is all where it is little', async () => {
    for (let at = 20; at < 55; at += 1) rmSync(metadataAt('rows', at));
    for (let at = 20; at < 55; at += 1) rmSync(archiveAt('rows', at));
    expect(storesOf(await overview())[1]).toEqual(['rows', newest20('rows'), undefined]);
  });
});

describe.runIf(remembers)('an overview', () => {
  const isRemembered = async () => {
    await overview();
    return existsSync(cachePath());
  };
  /** Only who reads what is remembered shows this. */
  const forge = () => {
    const text = readFileSync(cachePath(), 'utf8');
    writeFileSync(cachePath(), text.replaceAll('"rows@1"', '"forged"'), { mode: 0o600 });
  };
  const isForged = async () => JSON.stringify(await overview()).includes('"forged"');

  test('is remembered, and nothing else is read', async () => {
    await overview();
    forge();
    expect(await isForged()).toBe(true);
  });

  test.each<[string, () => void]>([
    ['a backup came', () => put('rows', 60)],
    ['a backup that is not shown went', () => rmSync(archiveAt('rows', 3))],
    ['metadata that is not shown was replaced', () => putMetadata('rows', 3, { pinned: true })],
    ['an archive that is shown was cut in its place', () => truncateSync(archiveAt('rows', 54), 3)],
    ['an archive that is shown was written to', () => writeFileSync(archiveAt('graph', 54), '9876543210')],
    ['metadata that is shown was written to', () => appendFileSync(metadataAt('rows', 54), '\n')],
    ['a file of somebody else came', () => writeFileSync(inDirectory('notes.txt'), 'x')],
    ['a run died while it published', () => writeFileSync(inDirectory('.x.partial'), 'x')],
    ['the directory was read an hour and a day ago', () => vi.setSystemTime(Date.now() + 25 * hourMs)],
    ['the clock was put back', () => vi.setSystemTime(Date.now() - hourMs)],
    ['others may write to it', () => chmodSync(cachePath(), 0o666)],
    ['others may write to its directory', () => chmodSync(inDirectory('.pkbackup'), 0o777)],
    ['it was cut', () => truncateSync(cachePath(), statSync(cachePath()).size - 9)],
  ])('is made anew when %s', async (_, change) => {
    await overview();
    forge();
    await tick();
    change();
    expect(await isForged()).toBe(false);
    expect(await overview()).toEqual(await without(overview));
  });

  test('is made anew when times were put back after a change', async () => {
    await overview();
    forge();
    await tick();
    const { atime, mtime } = statSync(archiveAt('rows', 54));
    writeFileSync(archiveAt('rows', 54), '9876543210');
    utimesSync(archiveAt('rows', 54), atime, mtime);
    expect(await isForged()).toBe(false);
  });

  test.each<[string, () => void]>([
    ['just after a change: a second one in that moment would not show', () => vi.useRealTimers()],
    ['of a few backups, which are looked at as fast', () => removeAll('rows')],
    ['while a run publishes', () => writeFileSync(inDirectory('.rows.partial'), 'x')],
    ['beside old files, which have directories of their own', () => mkdirSync(inDirectory('neo4j'))],
    [
      'in a repository that nothing was ever written to',
      () => rmSync(inDirectory('.pkbackup'), { recursive: true }),
    ],
  ])('is not remembered %s', async (_, change) => {
    change();
    expect(await isRemembered()).toBe(false);
  });

  test('tells when a file of somebody else becomes one of the old scripts', async () => {
    writeFileSync(inDirectory('notes'), 'notes');
    await overview();
    forge();
    expect(await isForged()).toBe(true);
    await tick();
    writeFileSync(inDirectory('notes'), oldDatabase);
    expect((await overview()).old).toHaveLength(1);
    expect((await overview()).old).toHaveLength(1);
  });

  test('does not look at what it does not show, and a listing does', async () => {
    await overview();
    truncateSync(archiveAt('rows', 3), 3);
    expect((await overview()).leftovers).toEqual([]);
    expect((await openRepository(directory).list()).leftovers).toHaveLength(1);
    put('rows', 60);
    expect((await overview()).leftovers).toHaveLength(1);
  });

  test('holds no samples, which can be long', async () => {
    putMetadata('rows', 54, { samples: [{ question: 'long' }] });
    await overview();
    expect(readFileSync(cachePath(), 'utf8')).not.toContain('question');
  });

  function removeAll(store: string): void {
    for (let at = 0; at < 55; at += 1) rmSync(metadataAt(store, at));
  }
});

describe('with what is remembered and without, a repository looks the same', () => {
  const store = fc.constantFrom('rows', 'graph');
  const at = fc.integer({ min: 0, max: 70 });
  /** In their places only what is shown may change: the newest are. */
  const shown = fc.integer({ min: 50, max: 54 });
  const ifThere = (path: string, act: (path: string) => void) => existsSync(path) && act(path);
  const changes: readonly fc.Arbitrary<() => unknown>[] = [
    fc.constant(() => undefined),
    fc.tuple(store, at).map(
      ([name, day]) =>
        () =>
          put(name, day),
    ),
    fc.tuple(store, at).map(
      ([name, day]) =>
        () =>
          ifThere(archiveAt(name, day), rmSync),
    ),
    fc.tuple(store, at).map(
      ([name, day]) =>
        () =>
          ifThere(metadataAt(name, day), rmSync),
    ),
    fc.tuple(store, at, fc.boolean()).map(
      ([name, day, pinned]) =>
        () =>
          ifThere(metadataAt(name, day), () => putMetadata(name, day, { pinned })),
    ),
    fc.tuple(store, at).map(
      ([name, day]) =>
        () =>
          ifThere(metadataAt(name, day), (path) => {
            renameSync(path, `${path}.moved`);
          }),
    ),
    fc.tuple(store, shown).map(
      ([name, day]) =>
        () =>
          ifThere(archiveAt(name, day), (path) => truncateSync(path, 4)),
    ),
    fc.tuple(store, shown).map(
      ([name, day]) =>
        () =>
          ifThere(archiveAt(name, day), (path) => writeFileSync(path, '0123456789')),
    ),
    fc.tuple(store, shown).map(
      ([name, day]) =>
        () =>
          ifThere(metadataAt(name, day), (path) => truncateSync(path, 9)),
    ),
    fc.tuple(store, shown).map(
      ([name, day]) =>
        () =>
          ifThere(archiveAt(name, day), (path) => utimesSync(path, 1, 1)),
    ),
    fc.constantFrom('x', oldDatabase).map((text) => () => writeFileSync(inDirectory('notes'), text)),
    fc.constant(() => writeFileSync(inDirectory('.rows-backup-20250101-000000.tar.gz.partial'), 'x')),
  ];

  test('whatever comes, goes, or changes', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(...changes), { minLength: 1, maxLength: 6 }), async (all) => {
        rmSync(directory, { recursive: true });
        makeRepository();
        await overview();
        for (const change of all) {
          await tick();
          change();
          expect(await overview()).toEqual(await without(overview));
          const list = () => openRepository(directory).list();
          expect(await list()).toEqual(await without(list));
        }
      }),
      { numRuns: 40 },
    );
  });
});
