// Damage that no checksum knows of, because the backup was sealed again after it was planted: which level finds it.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect } from 'vitest';
import { drill } from '../../src/operations/drill.ts';
import type { Run } from '../../src/operations/run.ts';
import { verify } from '../../src/operations/verify.ts';
import type { Backup } from '../../src/repository/index.ts';
import { type Edit, resealed } from './reseal.ts';

export interface Planted {
  /** `a torn page` */
  readonly what: string;
  readonly edit: Edit;
  readonly foundBy: 'content' | 'drill';
  readonly finding: RegExp;
}

/** The checksum says nothing, `foundBy` does, and nothing before it. */
export async function expectFound(run: Run, backup: Backup, planted: Planted): Promise<void> {
  const damaged = await resealed(run, backup, planted.edit);
  expect(await verify(damaged, { backups: [], level: 'checksum' }), planted.what).toMatchObject({ ok: true });
  const { drills } = await drill(damaged, { backups: [], stores: [] });
  expect(drills, planted.what).toMatchObject([{ ok: false, foundBy: planted.foundBy }]);
  const findings = drills.flatMap((one) => (one.error ? [one.error.message] : one.findings));
  expect(findings.join('; '), planted.what).toMatch(planted.finding);
}

const fileIn = (files: Map<string, Buffer>, end: string): [name: string, data: Buffer] => {
  const found = [...files].find(([name]) => name.endsWith(end));
  if (!found) throw new Error(`there is no ${end} among ${[...files.keys()].join(', ')}`);
  return found;
};

/** Half of the page that the middle of the file lies in, as a disk leaves it that lost power. */
export const tornPage =
  (end: string): Edit =>
  (files) => {
    const [name, data] = fileIn(files, end);
    const pageBytes = data.readUInt16BE(16) === 1 ? 65_536 : data.readUInt16BE(16);
    const page = Math.floor(data.length / pageBytes / 2) * pageBytes;
    files.set(name, Buffer.from(data).fill(0, page, page + pageBytes / 2));
  };

/** The first half, and its last bytes: the end mark and the checksum of the whole. */
export const cutWithFooter =
  (end: string, footerBytes: number): Edit =>
  (files) => {
    const [name, data] = fileIn(files, end);
    files.set(
      name,
      Buffer.concat([data.subarray(0, data.length / 2), data.subarray(data.length - footerBytes)]),
    );
  };

export const missing =
  (end: string): Edit =>
  (files) => {
    files.delete(fileIn(files, end)[0]);
  };

/** Of the same length, and once in the file. */
export const otherText =
  (end: string, text: string, by: string): Edit =>
  (files) => {
    const [name, data] = fileIn(files, end);
    const at = data.indexOf(text);
    if (at === -1 || text.length !== by.length) throw new Error(`"${text}" in ${name} cannot be "${by}"`);
    const changed = Buffer.from(data);
    changed.write(by, at);
    files.set(name, changed);
  };

/** The index files of one ChromaDB collection in the place of another's. */
export const otherSegment =
  (of: string, by: string): Edit =>
  (files) => {
    const [target, source] = [segmentOf(files, of), segmentOf(files, by)];
    for (const [name, data] of [...files]) {
      if (name.startsWith(`${source}/`)) files.set(name.replace(source, target), data);
    }
  };

function segmentOf(files: Map<string, Buffer>, collection: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'pkbackup-segment-'));
  try {
    writeFileSync(join(directory, 'chroma.sqlite3'), fileIn(files, 'chroma.sqlite3')[1]);
    const database = new DatabaseSync(join(directory, 'chroma.sqlite3'));
    const row = database
      .prepare(
        `SELECT s.id FROM segments s JOIN collections c ON c.id = s.collection WHERE s.scope = 'VECTOR' AND c.name = ?`,
      )
      .get(collection);
    database.close();
    return String(row?.id);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** The database changed by SQL, so that it is sound and says something else. */
export const rewritten =
  (end: string, sql: string): Edit =>
  (files) => {
    const [name, data] = fileIn(files, end);
    const directory = mkdtempSync(join(tmpdir(), 'pkbackup-rewritten-'));
    const path = join(directory, 'database');
    writeFileSync(path, data);
    const database = new DatabaseSync(path);
    database.exec(sql);
    database.close();
    files.set(name, readFileSync(path));
    rmSync(directory, { recursive: true });
  };
