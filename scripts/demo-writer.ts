// The application of the demo: it writes events without a pause, and says after each commit which one is safe.
// Usage: node demo-writer.ts DATABASE
import { writeSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

const database = new DatabaseSync(process.argv[2] ?? '', { timeout: 30_000 });
const event = database.prepare('INSERT INTO events (at, body) VALUES (?, ?)');
const search = database.prepare('INSERT INTO search (rowid, body) VALUES (?, ?)');

for (let count = 1; ; count += 1) {
  const body = `written while pkbackup was reading, number ${count}`;
  database.exec('BEGIN');
  const { lastInsertRowid } = event.run(Date.now(), body);
  search.run(lastInsertRowid, body);
  database.exec('COMMIT');
  writeSync(1, `${lastInsertRowid} ${Date.now()}\n`);
}
