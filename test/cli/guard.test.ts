// pkbackup guard around commands that change a database of this machine: no Docker is needed for that.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { DatabaseSync } from 'node:sqlite';
import { beforeEach, describe, expect, it } from 'vitest';
import { foldCommands, unfoldGuardedCommand } from '../../src/cli/check-command.ts';
import { fewerThan } from '../../src/operations/guard-check.ts';
import { makeDirectory, pkbackup, type Ran } from './program.ts';

const rows = 200;
let cwd: string;

beforeEach(() => {
  cwd = makeDirectory({ 'pkbackup.yaml': 'stores:\n  events: { kind: sqlite, path: events.db }\n' });
  using database = new DatabaseSync(join(cwd, 'events.db'));
  database.exec('CREATE TABLE items (n INTEGER PRIMARY KEY)');
  for (let n = 1; n <= rows; n += 1) database.exec(`INSERT INTO items VALUES (${n})`);
});

function countRows(): number {
  using database = new DatabaseSync(join(cwd, 'events.db'));
  return Number(database.prepare('SELECT count(*) AS count FROM items').get()?.count);
}

/** A migration that is a program. */
const migration = (sql: string, then = '') => [
  '--',
  process.execPath,
  '-e',
  `new (require('node:sqlite').DatabaseSync)('events.db').exec(${JSON.stringify(sql)}); ${then}`,
];

const guard = (...args: string[]): Promise<Ran> => pkbackup(['guard', '--json', ...args], { cwd });

const journals = () => readdirSync(join(cwd, 'backups', '.pkbackup', 'journal'));

describe('a migration', () => {
  it('that loses rows is undone, and what it had left is kept', async () => {
    const ran = await guard('--rollback', 'auto', ...migration('DELETE FROM items WHERE n > 50'));
    expect(ran.exitCode, ran.stderr).toBe(10);
    const { outcome, findings, stores } = JSON.parse(ran.stdout);
    expect(outcome).toBe('rolled_back');
    expect(findings).toContain(`events: found 50 rows, the backup has ${rows}`);
    expect(stores[0].safety_backup).toMatch(/^events-backup-/);
    expect(countRows()).toBe(rows);
    expect(journals()).toEqual([]);
  });

  it('that fails half-way is undone, though nothing is missing', async () => {
    const ran = await guard(
      '--rollback',
      'auto',
      ...migration('DELETE FROM items WHERE n < 3', 'process.exit(4)'),
    );
    expect(ran.exitCode, ran.stderr).toBe(10);
    expect(ran.stderr).toContain('failed: exit code 4');
    expect(countRows()).toBe(rows);
  });

  it('that adds rows is well, and so is one that may lose some', async () => {
    const added = await guard('--rollback', 'auto', ...migration(`INSERT INTO items VALUES (${rows + 1})`));
    expect(added.exitCode, added.stderr).toBe(0);
    expect(countRows()).toBe(rows + 1);
    const fewer = await guard(
      '--rollback',
      'auto',
      '--may-shrink',
      '10',
      ...migration('DELETE FROM items WHERE n < 11'),
    );
    expect(fewer.exitCode, fewer.stderr).toBe(0);
    expect(JSON.parse(fewer.stdout)).toMatchObject({ ok: true, outcome: 'fine' });
    expect(countRows()).toBe(rows - 9);
    expect(journals()).toEqual([]);
  });
});

it('a store that is not well before is refused, and the command is not run', async () => {
  const mark = join(cwd, 'was-run');
  const command = [
    '--',
    process.execPath,
    '-e',
    `require('node:fs').writeFileSync(${JSON.stringify(mark)}, '')`,
  ];
  const ran = await pkbackup(['guard', 'evnts', ...command], { cwd });
  // Docker might have it, and is not there.
  expect(ran.exitCode, ran.stderr).toBe(2);
  const twice = await pkbackup(['guard', 'events', '--drill-image', 'other=x:1', ...command], { cwd });
  expect(twice.exitCode, twice.stderr).toBe(64);
  expect(existsSync(mark)).toBe(false);
});

it.each([
  ['no command', ['guard'], /expected the command to guard behind "--"/],
  ['an empty command', ['guard', '--'], /expected the command to guard behind "--"/],
  ['an unknown way back', ['guard', '--rollback', 'atuo', '--', 'x'], /did you mean "auto"\?/],
  ['an image for nobody', ['guard', '--drill-image', 'x:1', '--', 'x'], /say which one it is for/],
  ['a deadline that is none', ['guard', '--deadline', 'soon', '--', 'x'], /--deadline: expected a duration/],
  ['two decisions', ['guard', '--undo', '--accept'], /go with nothing but names of stores/],
])('%s is one line and exit code 64', async (_what, args, message) => {
  const { exitCode, stderr, stdout } = await pkbackup(args, { cwd });
  expect({ exitCode, stdout }).toEqual({ exitCode: 64, stdout: '' });
  expect(stderr).toMatch(message);
});

it('what follows -- is none of our flags, before it they are', () => {
  const folded = foldCommands([
    'guard',
    'a',
    '--rollback',
    'auto',
    '--',
    'sh',
    '-c',
    'exit 0',
    '--json',
    '--',
    'x',
  ]);
  expect(folded.slice(0, -1)).toEqual(['guard', 'a', '--rollback', 'auto', '--run']);
  expect(unfoldGuardedCommand(folded.slice(-1))).toEqual(['sh', '-c', 'exit 0', '--json', '--', 'x']);
  expect(foldCommands(['list', '--', 'x'])).toEqual(['list', '--', 'x']);
});

it('fewer of anything is told, more and unknown are not', () => {
  const before = { rows: 100, tables: 3 };
  expect(fewerThan(before, { rows: 100, tables: 4 }, 0)).toEqual([]);
  expect(fewerThan(before, { rows: 99, tables: 3 }, 0)).toEqual(['found 99 rows, the backup has 100']);
  expect(fewerThan(before, { rows: 95 }, 5)).toEqual([]);
  expect(fewerThan(before, { rows: 94 }, 5)).toHaveLength(1);
  expect(fewerThan(before, { rows: 0, tables: 0 }, 0)).toHaveLength(2);
});
