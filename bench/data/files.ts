// The trees: a mixed one as a vector database and its documents are, many small files, and one that can't be compressed.
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type Bench, dataSet } from '../bench.ts';
import { proseOf, type Random, randomOf } from './random.ts';

const mega = 1e6;

/** Half vectors, a third documents, the rest a SQLite database. `gigabytes` as the tar of it has. */
export function mixedTree(bench: Bench, gigabytes = bench.size): string {
  return dataSet(bench, `mixed-${gigabytes}`, (directory) => {
    const random = randomOf('mixed');
    const total = gigabytes * 1000 * mega;
    writeFileSync(join(directory, 'served'), 'x');
    writeVectors(join(directory, 'index'), total * 0.5, random);
    writeDocuments(join(directory, 'documents'), total * 0.33, random);
    writeDatabase(join(directory, 'rows.sqlite3'), total * 0.17, random);
  });
}

export function smallFiles(bench: Bench, count: number): string {
  return dataSet(bench, `small-${count}`, (directory) => {
    const random = randomOf('small');
    const prose = proseOf(random)(4 * mega);
    for (let at = 0; at < count; at += 1) {
      const folder = join(directory, String(Math.floor(at / 100) % 100), String(Math.floor(at / 10_000)));
      if (at % 100 === 0) mkdirSync(folder, { recursive: true });
      const start = random.below(3 * mega);
      writeFileSync(join(folder, `${at}.md`), prose.slice(start, start + random.below(4000)));
    }
    writeFileSync(join(directory, 'served'), 'x');
  });
}

export function incompressible(bench: Bench): string {
  return dataSet(bench, `incompressible-${bench.size}`, (directory) => {
    const random = randomOf('incompressible');
    writeFileSync(join(directory, 'served'), 'x');
    for (let at = 0; at < bench.size * 20; at += 1) {
      writeFileSync(join(directory, `${at}.bin`), random.bytes(50 * mega));
    }
  });
}

/** Numbers of 32 bits between -0.125 and 0.125, as embeddings have them: a tenth of them can be compressed away. */
function writeVectors(directory: string, bytes: number, random: Random): void {
  mkdirSync(directory, { recursive: true });
  const fileBytes = Math.min(bytes, 100 * mega);
  for (let at = 0; at * fileBytes < bytes; at += 1) {
    const path = join(directory, `${at}.bin`);
    for (let written = 0; written < fileBytes; written += mega) {
      const block = random.bytes(mega);
      const floats = new Uint32Array(block.buffer, block.byteOffset, mega / 4);
      for (let index = 0; index < floats.length; index += 1) {
        const bits = floats[index] ?? 0;
        floats[index] = (bits & 0x81ffffff) | 0x3c000000;
      }
      appendFileSync(path, block);
    }
  }
}

function writeDocuments(directory: string, bytes: number, random: Random): void {
  const prose = proseOf(random);
  mkdirSync(directory, { recursive: true });
  for (let written = 0, at = 0; written < bytes; at += 1) {
    const text = prose(5000 + random.below(200_000));
    writeFileSync(join(directory, `${at}.md`), text);
    written += text.length;
  }
}

function writeDatabase(path: string, bytes: number, random: Random): void {
  const prose = proseOf(random);
  const database = new DatabaseSync(path);
  database.exec(
    'PRAGMA journal_mode = off; CREATE TABLE documents (id TEXT PRIMARY KEY, text TEXT, vector BLOB)',
  );
  const insert = database.prepare('INSERT INTO documents VALUES (?, ?, ?)');
  database.exec('BEGIN');
  for (let written = 0; written < bytes; written += 3400) {
    insert.run(random.bytes(16).toString('hex'), prose(2400), random.bytes(768));
  }
  database.exec('COMMIT');
  database.close();
}
