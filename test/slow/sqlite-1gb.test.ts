// A database of 1 GB, backed up by the real program while a writer commits without a pause, destroyed and restored.
// PKBACKUP_TEST_SQLITE_MB sets another size.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, it } from 'vitest';
import { makeTempDir } from '../archive/gather.ts';
import { commitsIn, lastBefore, startWriter } from '../stores/sqlite-live.ts';

const megabytes = Number(process.env.PKBACKUP_TEST_SQLITE_MB ?? 1024);
const program = join(import.meta.dirname, '../../bin/pkbackup.js');

it.each(['wal', 'delete'] as const)(
  'restores a sound prefix of the commits, none acknowledged before the snapshot missing (%s)',
  async (mode) => {
    const directory = makeTempDir();
    const path = join(directory, 'live.db');
    fill(path);
    writeFileSync(
      join(directory, 'pkbackup.yaml'),
      'repository: ./backups\nstores:\n  live: { kind: sqlite, path: ./live.db }\n',
    );
    await using writer = startWriter(path, mode);
    await writer.commits(100);
    await run(directory, 'backup');
    await writer.commits(100);
    const { pinnedAt, counts } = metadataIn(join(directory, 'backups'));
    await writer[Symbol.asyncDispose]();
    for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(`${path}${suffix}`, { force: true });

    await run(directory, 'restore', 'live@latest', '--yes');
    expect(readdirSync(directory).sort()).toEqual(['backups', 'live.db', 'pkbackup.yaml']);
    expect(statSync(path).size).toBeGreaterThan(megabytes * 1024 * 1024);
    const found = commitsIn(path);
    expect(found).toMatchObject({ integrity: 'ok', rows: found.last, twins: found.last });
    expect(found.last).toBe(counts.commits);
    expect(found.last).toBeGreaterThanOrEqual(lastBefore(writer, pinnedAt));
    expect(found.last).toBeLessThan(writer.acknowledged.at(-1)?.id ?? 0);
  },
);

function fill(path: string): void {
  const database = new DatabaseSync(path);
  database.exec(
    'PRAGMA synchronous = OFF; CREATE TABLE filler (id INTEGER PRIMARY KEY, noise BLOB, text TEXT)',
  );
  const insert = database.prepare('INSERT INTO filler (noise, text) VALUES (randomblob(20000), ?)');
  database.exec('BEGIN');
  for (let bytes = 0; bytes < megabytes * 1024 * 1024; bytes += 100_000) {
    insert.run('what people write, again and again. '.repeat(2223));
  }
  database.exec('COMMIT');
  database.close();
}

/** Not `execFileSync`: this process has to read what the writer says meanwhile. */
async function run(directory: string, ...args: string[]): Promise<void> {
  const command = [program, ...args, '--config', join(directory, 'pkbackup.yaml')];
  const child = spawn(process.execPath, command, { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = await once(child, 'close');
  expect(code).toBe(0);
}

function metadataIn(repository: string): { pinnedAt: Date; counts: Record<string, number> } {
  const [name = ''] = readdirSync(repository).filter((each) => each.endsWith('.metadata.json'));
  const { created_at, counts } = JSON.parse(readFileSync(join(repository, name), 'utf8'));
  return { pinnedAt: new Date(created_at), counts };
}
