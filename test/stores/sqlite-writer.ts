// A program that commits rows without a pause, and says after each commit which row is safe and when it was.
// Usage: node sqlite-writer.ts PATH JOURNAL_MODE BYTES_PER_ROW
import { writeSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

const [path = '', mode = 'wal', bytes = '100'] = process.argv.slice(2);
const database = new DatabaseSync(path, { timeout: 60_000 });
database.exec(`PRAGMA journal_mode = ${mode}; PRAGMA synchronous = OFF;
  CREATE TABLE IF NOT EXISTS commits (id INTEGER PRIMARY KEY, payload TEXT);
  CREATE TABLE IF NOT EXISTS twins (id INTEGER PRIMARY KEY, payload TEXT);
  CREATE INDEX IF NOT EXISTS commits_by_payload ON commits (payload)`);
const insert = database.prepare('INSERT INTO commits (payload) VALUES (?)');
const insertTwin = database.prepare('INSERT INTO twins VALUES (?, ?)');

for (let count = 0; ; count += 1) {
  const payload = `${count} `.padEnd(Number(bytes), 'x');
  database.exec('BEGIN');
  const { lastInsertRowid } = insert.run(payload);
  insertTwin.run(lastInsertRowid, payload);
  database.exec('COMMIT');
  // Synchronous, so that what was said before the process is killed is read.
  writeSync(1, `${lastInsertRowid} ${Date.now()}\n`);
}
