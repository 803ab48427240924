import { existsSync, lstatSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type AdoptOptions, adopt, disown } from '../../src/operations/adopt.ts';
import { list } from '../../src/operations/list.ts';
import { bringBack, pin } from '../../src/operations/pin.ts';
import { prune } from '../../src/operations/prune.ts';
import type { Run } from '../../src/operations/run.ts';
import { verify } from '../../src/operations/verify.ts';
import { openRepository } from '../../src/repository/index.ts';
import {
  chromaDirectory,
  chromaVolume,
  eventsDatabase,
  manifest,
  metadataJson,
  metadataText,
  neo4jDump,
  sha256Of,
  sqliteText,
  writeFiles,
} from '../legacy/made-files.ts';
import { makeRun, type RunFixture } from './run-fixture.ts';

let fixture: RunFixture;
let run: Run;
let directory: string;
beforeEach(() => {
  fixture = makeRun();
  run = { ...fixture.run, docker: () => Promise.reject(new Error('no Docker is needed here')) };
  directory = run.repository.directory;
});
afterEach(() => fixture[Symbol.dispose]());

const options: AdoptOptions = { paths: [], dryRun: false, open: (path) => openRepository(path) };
const names = () =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => !/^\.(pkbackup|trash)/.test(name) && lstatSync(join(directory, name)).isFile())
    .sort();
const storesOf = async () =>
  (await list(run)).stores.map(({ store, backups }) => `${store} ${backups.length}`);

const day = (date: number) => `chromadb-backup-202512${String(date).padStart(2, '0')}-020000.tar.gz`;
const chroma = chromaVolume();

function writeChroma(date: number): string {
  const name = day(date);
  const metadata = metadataJson(name, chroma, {
    created_at: `2025-12-${String(date).padStart(2, '0')}T01:00:00Z`,
  });
  writeFiles(directory, {
    [name]: chroma,
    [`${name}.sha256`]: sha256Of(chroma),
    [name.replace('.tar.gz', '.metadata.json')]: JSON.stringify(metadata),
  });
  return name;
}

function writeRun(run: string): void {
  writeFiles(directory, {
    [`neo4j/${run}/neo4j.dump.gz`]: gzipSync(neo4jDump()),
    [`neo4j/${run}/metadata.txt`]: metadataText(''),
    [`sqlite/${run}/events.db.gz`]: gzipSync(eventsDatabase()),
    [`sqlite/${run}/metadata.txt`]: metadataText('Events Count: 3'),
    [`sqlite/${run}/restore.sh`]: 'exit 1',
    [`chromadb/${run}/chromadb.tar`]: chromaDirectory(),
    [`unified/${run}/manifest.json`]: manifest(),
    [`unified/${run}/neo4j`]: `-> ../../neo4j/${run}`,
    [`unified/${run}/sqlite`]: `-> ../../sqlite/${run}`,
    [`unified/${run}/chromadb`]: `-> ../../chromadb/${run}`,
  });
}

describe('adopting', () => {
  test('makes backups of what the scripts left, and touches not a byte of it', async () => {
    writeChroma(1);
    writeRun('20251202_020000');
    writeFiles(directory, { 'full_backup_20251203.sql': sqliteText });
    const before = names();
    const bytes = new Map(before.map((name) => [name, readFileSync(join(directory, name))]));
    const times = before.map((name) => statSync(join(directory, name)).mtimeMs);

    const dry = await adopt(run, { ...options, dryRun: true });
    expect(dry.files.filter(({ store }) => store)).toHaveLength(5);
    expect(names()).toEqual(before);

    const { files } = await adopt(run, options);
    expect(
      files
        .filter(({ store }) => store)
        .map(({ store }) => store)
        .sort(),
    ).toEqual(['chromadb', 'chromadb', 'events', 'neo4j', 'sqlite'].sort());
    expect(files.find(({ name }) => name.endsWith('manifest.json'))).toMatchObject({ reason: /no data/ });
    expect(before.map((name) => statSync(join(directory, name)).mtimeMs)).toEqual(times);
    for (const [name, content] of bytes)
      expect(readFileSync(join(directory, name)).equals(content)).toBe(true);

    expect(await storesOf()).toEqual(['chromadb 2', 'events 1', 'neo4j 1', 'sqlite 1']);
    const { old, leftovers } = await list(run);
    expect(old.map(({ name }) => name)).toEqual(['unified/20251202_020000/manifest.json']);
    expect(leftovers).toEqual([]);
    expect(await verify(run, { backups: [], all: true, level: 'content' })).toMatchObject({ ok: true });
    const { backups } = await run.repository.list();
    const members = backups.filter(({ metadata }) => metadata.set_id === 'unified-20251202_020000');
    expect(members.map(({ store }) => store).sort()).toEqual(['chromadb', 'events', 'neo4j']);
  });

  test('again changes nothing, and its undoing leaves what was there before', async () => {
    writeChroma(1);
    writeRun('20251202_020000');
    const before = names();
    await adopt(run, options);
    const adopted = names();
    expect((await adopt(run, options)).files.filter(({ store }) => store)).toEqual([]);
    expect(names()).toEqual(adopted);
    expect((await disown(run, { ...options, dryRun: true })).files).toHaveLength(4);
    expect(names()).toEqual(adopted);
    await disown(run, options);
    expect(names()).toEqual(before);
    expect((await list(run)).stores).toEqual([]);
  });

  test('is also undone by removing the metadata files', async () => {
    const name = writeChroma(1);
    await adopt(run, options);
    expect(names().filter((each) => each.endsWith('.metadata.json'))).toHaveLength(2);
    rmSync(join(directory, `${name}.metadata.json`));
    expect((await list(run)).old.map((old) => old.name)).toEqual([name]);
    expect((await list(run)).leftovers).toEqual([]);
  });

  test('leaves alone what is damaged, and what may be somebody’s live database', async () => {
    writeFiles(directory, {
      [day(1)]: chroma.subarray(0, chroma.length - 100),
      [day(2)]: chroma,
      [`${day(2)}.sha256`]: '0'.repeat(64),
      'app.sqlite': eventsDatabase(),
    });
    const before = names();
    const { files } = await adopt(run, options);
    expect(files).toEqual([
      expect.objectContaining({ name: 'app.sqlite', reason: 'its name is none that the scripts gave' }),
      expect.objectContaining({
        name: day(2),
        isDamaged: true,
        reason: expect.stringContaining('checksum is wrong'),
      }),
      expect.objectContaining({ name: day(1), isDamaged: true }),
    ]);
    expect(names()).toEqual(before);
    await adopt(run, { ...options, paths: [join(directory, 'app.sqlite')], store: 'app' });
    expect(await storesOf()).toEqual(['app 1']);
  });

  test('takes the store that is named, for files of one kind', async () => {
    writeChroma(1);
    writeRun('20251202_020000');
    await expect(adopt(run, { ...options, store: 'vectors' })).rejects.toMatchObject({ code: 'usage' });
    await adopt(run, { ...options, paths: [join(directory, day(1))], store: 'vectors' });
    expect(await storesOf()).toEqual(['vectors 1']);
  });

  test('in another directory makes that one a repository', async () => {
    const elsewhere = join(fixture.directory, 'private');
    writeFiles(elsewhere, { [day(1)]: chroma });
    await adopt(run, { ...options, paths: [elsewhere] });
    expect((await openRepository(elsewhere).list()).backups.map(({ stem }) => stem)).toEqual([day(1)]);
    expect((await run.repository.list()).backups).toEqual([]);
    await expect(adopt(run, { ...options, paths: [join(elsewhere, 'nothing')] })).rejects.toMatchObject({
      code: 'not_found',
    });
    writeFileSync(join(elsewhere, 'mine.txt'), 'notes');
    await expect(adopt(run, { ...options, paths: [join(elsewhere, 'mine.txt')] })).rejects.toMatchObject({
      code: 'not_found',
    });
  });

  test('goes by the stores that are known: the only one of its kind, or the name', async () => {
    writeChroma(1);
    writeFiles(directory, { 'db_backup_20251201_020000.sqlite': eventsDatabase() });
    const known = (...stores: { name: string; kind: 'chromadb' | 'sqlite' }[]) =>
      openRepository(directory, { stores }).list();
    const storeOf = ({ old }: Awaited<ReturnType<typeof known>>, what: RegExp) =>
      old.find((each) => what.test(each.what))?.backup?.store;
    const one = await known({ name: 'vectors', kind: 'chromadb' }, { name: 'app', kind: 'sqlite' });
    expect([storeOf(one, /ChromaDB/), storeOf(one, /SQLite/)]).toEqual(['vectors', 'sqlite']);
    const two = await known({ name: 'private', kind: 'chromadb' }, { name: 'work', kind: 'chromadb' });
    expect(storeOf(two, /ChromaDB/)).toBe('chromadb');
  });
});

describe('adopted files', () => {
  const keepOne = { policy: { keepLast: 1 }, now: new Date('2026-01-01'), dryRun: false };

  test('go by the retention policy, with what lies beside them, and come back', async () => {
    for (const date of [1, 2, 3]) writeChroma(date);
    writeRun('20251201_020000');
    writeRun('20251202_020000');
    await adopt(run, options);
    const before = names();
    await pin(run, `${day(1)}`, 'before 1.5');
    await prune(run, { ...keepOne, policy: { keepLast: 1, keepSetsWhole: false } });
    const left = names();
    expect(left.filter((name) => name.endsWith('.tar.gz'))).toEqual([day(1), day(3)]);
    expect(left.filter((name) => name.includes('20251202-'))).toEqual([]);
    expect(existsSync(join(directory, 'sqlite', '20251201_020000'))).toBe(false);
    expect(left).toContain('sqlite/20251202_020000/restore.sh');
    expect((await list(run)).leftovers).toEqual([]);

    for (const { stem } of await run.repository.trash.list()) await bringBack(run, stem);
    expect(names()).toEqual(before);
    expect(await verify(run, { backups: [], all: true, level: 'archive' })).toMatchObject({ ok: true });
  });

  test('are gone with everything that belongs to them when the trash is emptied', async () => {
    writeRun('20251201_020000');
    writeRun('20251202_020000');
    await adopt(run, options);
    await prune(run, { ...keepOne, emptyTrash: true });
    const trash = readdirSync(join(directory, '.trash'), { recursive: true, encoding: 'utf8' });
    expect(trash.filter((name) => statSync(join(directory, '.trash', name)).isFile())).toEqual([]);
    expect(names().filter((name) => name.includes('20251201') && !name.startsWith('unified'))).toEqual([]);
  });

  test('are never pruned before they were adopted', async () => {
    for (const date of [1, 2, 3]) writeChroma(date);
    const before = names();
    expect(await prune(run, keepOne)).toMatchObject({ plan: [] });
    expect(names()).toEqual(before);
    await expect(pin(run, day(1), true)).rejects.toThrow('made by an older script');
  });

  test('that were changed since are damaged backups', async () => {
    const name = writeChroma(1);
    await adopt(run, options);
    writeFileSync(join(directory, name), 'cut');
    const { leftovers } = await list(run);
    expect(leftovers).toEqual([
      { name, reason: expect.stringContaining('it has 3 bytes'), state: 'damaged' },
    ]);
  });
});
