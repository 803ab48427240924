import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  type Stats,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openListingCache } from '../../src/repository/listing-cache.ts';
import type { Metadata } from '../../src/repository/metadata.ts';

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pkbackup-listing-'));
  mkdirSync(join(directory, '.pkbackup'), { mode: 0o700 });
  file = join(directory, 'one.metadata.json');
  writeFileSync(file, 'aaaa');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const metadata = { store: 'rows', sha256: 'a'.repeat(64) } as Metadata;
const cachePath = () => join(directory, '.pkbackup', 'listing.cache');
const later = () => Date.now() + 60_000;

/** Enough of them that they are written. */
function fill(stats: Stats, now = later): void {
  const cache = openListingCache(directory, now);
  for (let at = 0; at < 100; at += 1) cache.add(`${at}.metadata.json`, stats, metadata);
  cache.save();
}

const found = (stats: Stats) => openListingCache(directory).get('7.metadata.json', stats);

describe('what a metadata file said', () => {
  test('is known for as long as the file is the same', () => {
    fill(statSync(file));
    expect(found(statSync(file))).toEqual(metadata);
    expect(openListingCache(directory).get('unknown.metadata.json', statSync(file))).toBeUndefined();
  });

  test('is read anew after a change that keeps the length and puts the time back', () => {
    const before = statSync(file);
    fill(before);
    writeFileSync(file, 'bbbb');
    utimesSync(file, before.atime, before.mtime);
    expect(statSync(file).size).toBe(before.size);
    expect(found(statSync(file))).toBeUndefined();
  });

  test('is not kept of a file that has just changed: a second change in that moment would not show', () => {
    fill(statSync(file), Date.now);
    expect(found(statSync(file))).toBeUndefined();
  });

  test('is not kept for a few files, which are read as fast', () => {
    const cache = openListingCache(directory, later);
    cache.add('one.metadata.json', statSync(file), metadata);
    cache.save();
    expect(() => statSync(cachePath())).toThrow('ENOENT');
  });
});

describe('the cache', () => {
  test('keeps what is still true when it is written again, and drops the rest', () => {
    const stats = statSync(file);
    fill(stats);
    const cache = openListingCache(directory, later);
    expect(cache.get('3.metadata.json', stats)).toEqual(metadata);
    for (let at = 100; at < 200; at += 1) cache.add(`${at}.metadata.json`, stats, metadata);
    cache.save();
    const again = openListingCache(directory);
    expect(again.get('3.metadata.json', stats)).toEqual(metadata);
    expect(again.get('150.metadata.json', stats)).toEqual(metadata);
    expect(again.get('4.metadata.json', stats)).toBeUndefined();
  });

  test.skipIf(process.platform === 'win32')(
    'is neither read nor written where others may write to it',
    () => {
      fill(statSync(file));
      chmodSync(cachePath(), 0o666);
      expect(found(statSync(file))).toBeUndefined();
      chmodSync(cachePath(), 0o600);
      expect(found(statSync(file))).toEqual(metadata);
      chmodSync(join(directory, '.pkbackup'), 0o777);
      expect(found(statSync(file))).toBeUndefined();
    },
  );

  test('that is cut or of another version is no error', () => {
    const stats = statSync(file);
    fill(stats);
    const whole = readFileSync(cachePath(), 'utf8');
    for (let length = 0; length < whole.length; length += 97) {
      writeFileSync(cachePath(), whole.slice(0, length), { mode: 0o600 });
      const known = found(stats);
      if (known !== undefined) expect(known).toEqual(metadata);
    }
    writeFileSync(cachePath(), whole.replace('listing', 'other'), { mode: 0o600 });
    expect(found(stats)).toBeUndefined();
  });

  test('is not made in a repository that nothing was ever written to', () => {
    rmSync(join(directory, '.pkbackup'), { recursive: true });
    fill(statSync(file));
    expect(() => statSync(join(directory, '.pkbackup'))).toThrow('ENOENT');
  });
});
