import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeDirectory, pkbackup } from './program.ts';

function makeBackups(count: number): string {
  const cwd = makeDirectory();
  mkdirSync(join(cwd, 'backups'));
  for (let at = 0; at < count; at += 1) {
    const createdAt = new Date(Date.UTC(2024, 0, 1 + at));
    const stem = `rows-backup-${createdAt.toISOString().slice(0, 10).replaceAll('-', '')}-000000`;
    const metadata = {
      schema_version: 1,
      backup_file: `${stem}.tar.gz`,
      created_at: createdAt.toISOString(),
      store: 'rows',
      kind: 'directory',
      size_bytes: 1,
      sha256: 'a'.repeat(64),
    };
    writeFileSync(join(cwd, 'backups', `${stem}.tar.gz`), 'x');
    writeFileSync(join(cwd, 'backups', `${stem}.metadata.json`), JSON.stringify(metadata));
  }
  return cwd;
}

test('people see what matters, or all on wish; programs see all', async () => {
  const cwd = makeBackups(50);
  const shown = async (...args: string[]) => (await pkbackup(['list', ...args], { cwd })).stdout;
  const rows = (text: string) => text.match(/@\d+/g)?.length;
  const short = await shown();
  expect(rows(short)).toBe(20);
  expect(short).toContain('and 30 more, back to 20');
  expect(rows(await shown('rows', '--all'))).toBe(50);
  expect(JSON.parse(await shown('--json')).stores[0].backups).toHaveLength(50);
  const events = (await shown('--events'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(events.at(-1).result.stores[0].backups).toHaveLength(50);
});
