// Every archive of a corpus is cut at many points and has bits flipped at many more: verify finds each, and restore refuses.
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readArchive } from '../../src/archive/read-archive.ts';
import { scanTar } from '../../src/archive/tar-scan.ts';
import { backup } from '../../src/operations/backup.ts';
import { inspectArchive, type VerifyLevel } from '../../src/operations/inspect-archive.ts';
import { restore } from '../../src/operations/restore.ts';
import { verify } from '../../src/operations/verify.ts';
import { type Backup, findBackups } from '../../src/repository/index.ts';
import type { Compression } from '../../src/words.ts';
import { directoryStore, makeRun, type RunFixture, sqliteStore } from './run-fixture.ts';

const cuts = 200;
const flips = 500;

let fixture: RunFixture;
const corpus: Backup[] = [];
const stores = () => [
  sqliteStore(join(fixture.directory, 'events.db')),
  directoryStore(join(fixture.directory, 'memory')),
];

beforeAll(async () => {
  fixture = makeRun();
  makeDatabase(join(fixture.directory, 'events.db'));
  makeTree(join(fixture.directory, 'memory'));
  for (const compression of ['gzip', 'zstd'] as Compression[]) {
    const result = await backup(fixture.run, { stores: stores(), compression });
    for (const made of result.stores) if (made.ok && made.backup) corpus.push(made.backup);
  }
  expect(corpus).toHaveLength(4);
});
afterAll(() => fixture[Symbol.dispose]());

function makeDatabase(path: string): void {
  const database = new DatabaseSync(path);
  database.exec('CREATE TABLE events (id INTEGER PRIMARY KEY, body TEXT)');
  const insert = database.prepare('INSERT INTO events (body) VALUES (?)');
  for (let count = 0; count < 800; count += 1) insert.run(`event ${count} ${Math.sin(count)}`);
  database.close();
}

function makeTree(path: string): void {
  mkdirSync(join(path, 'empty'), { recursive: true });
  for (let count = 0; count < 40; count += 1)
    writeFileSync(join(path, `note-${count}.json`), `{"n":${Math.cos(count)}}`);
  writeFileSync(
    join(path, 'large.bin'),
    Buffer.from(Array.from({ length: 40_000 }, (_, at) => (at * at) % 253)),
  );
}

/** The backup in a directory of its own, its archive changed by `damage`. */
function damaged(backupToCopy: Backup, damage: (path: string) => void): string {
  const directory = join(fixture.directory, 'damaged');
  mkdirSync(directory, { recursive: true });
  for (const name of readdirSync(dirname(backupToCopy.path))) {
    if (name.startsWith(backupToCopy.stem))
      cpSync(join(dirname(backupToCopy.path), name), join(directory, name));
  }
  const path = join(directory, basename(backupToCopy.path));
  damage(path);
  return path;
}

function spread(count: number, length: number): number[] {
  const all = Array.from({ length: count }, (_, index) => Math.floor((index * length) / count));
  return [...new Set(all)];
}

/** What verify finds, without writing it down. */
async function findingsIn(path: string, level: VerifyLevel): Promise<string[]> {
  const [target] = await findBackups(path, await fixture.run.repository.list());
  return (await inspectArchive(fixture.run, target!, level)).findings;
}

/** What is found without any checksum: by the format alone. */
async function isReadable(path: string): Promise<boolean> {
  try {
    for await (const _ of scanTar(readArchive(path, { signal: fixture.run.signal })));
    return true;
  } catch {
    return false;
  }
}

describe.each([0, 1, 2, 3])('archive %i of the corpus', (index) => {
  test('every cut is found by verify at every level, and by the format alone', async () => {
    const good = corpus[index]!;
    const length = statSync(good.path).size;
    for (const at of spread(cuts, length)) {
      const path = damaged(good, (file) => truncateSync(file, at));
      for (const level of ['checksum', 'archive'] as const) {
        expect(await findingsIn(path, level), `${level}: cut at ${at} of ${length}`).not.toEqual([]);
      }
      expect(await isReadable(path), `by its format: cut at ${at} of ${length}`).toBe(false);
    }
  });

  test('every flipped bit is found by verify at every level', async () => {
    const good = corpus[index]!;
    const bytes = readFileSync(good.path);
    for (const [turn, at] of spread(flips, bytes.length).entries()) {
      const flipped = Buffer.from(bytes);
      flipped[at] = flipped[at]! ^ (1 << (turn % 8));
      const path = damaged(good, (file) => writeFileSync(file, flipped));
      for (const level of ['checksum', 'archive'] as const) {
        expect(await findingsIn(path, level), `${level}: bit ${turn % 8} of byte ${at}`).not.toEqual([]);
      }
    }
  });

  test('restore refuses what is damaged, in one line, and touches nothing', async () => {
    const good = corpus[index]!;
    const bytes = readFileSync(good.path);
    const to = join(fixture.directory, 'restored');
    const damages = [
      (file: string) => truncateSync(file, bytes.length >> 1),
      (file: string) => truncateSync(file, 0),
      (file: string) => {
        const flipped = Buffer.from(bytes);
        flipped[bytes.length >> 1]! ^= 4;
        writeFileSync(file, flipped);
      },
    ];
    for (const damage of damages) {
      const path = damaged(good, damage);
      const confirm = async () => true;
      const options = { backup: path, to, stores: stores(), safetyBackup: true, confirm };
      const refusal = await restore(fixture.run, options).catch((error: unknown) => error);
      expect(refusal).toMatchObject({ code: 'bad_backup' });
      expect((refusal as Error).message).not.toContain('\n');
      expect(() => statSync(to)).toThrow('ENOENT');
    }
  });

  test('it is good as it was made', async () => {
    const { ok, backups } = await verify(fixture.run, { backups: [corpus[index]!.stem], level: 'content' });
    expect(backups[0]?.findings).toEqual([]);
    expect(ok).toBe(true);
  });
});

test('verify says so, counts it as damage, and writes it down', async () => {
  const path = damaged(corpus[0]!, (file) => {
    const bytes = readFileSync(file);
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(file, bytes);
  });
  const { ok, backups } = await verify(fixture.run, { backups: [path], level: 'archive' });
  expect(ok).toBe(false);
  expect(backups[0]?.findings.join()).toContain('damaged');
  const metadata = JSON.parse(readFileSync(join(dirname(path), `${corpus[0]!.stem}.metadata.json`), 'utf8'));
  expect(metadata.checks.at(-1)).toMatchObject({ level: 'archive', ok: false });
});

test('a damaged sidecar and damaged metadata are found too', async () => {
  const good = corpus[0]!;
  const zeros = `${'0'.repeat(64)}  ${basename(good.path)}\n`;
  const wrongSidecar = damaged(good, (file) => writeFileSync(`${file}.sha256`, zeros));
  const { backups } = await verify(fixture.run, { backups: [wrongSidecar], level: 'checksum' });
  expect(backups[0]?.findings.join()).toContain('the checksum file says');
  const wrongCount = damaged(good, (file) => {
    const metadata = join(dirname(file), `${good.stem}.metadata.json`);
    const changed = readFileSync(metadata, 'utf8').replace(/"entries": \d+/, '"entries": 99');
    writeFileSync(metadata, changed);
  });
  const verified = await verify(fixture.run, { backups: [wrongCount], level: 'archive' });
  expect(verified.backups[0]?.findings.join()).toContain('its metadata says 99');
});
