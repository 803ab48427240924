// pkbackup drill, as people run it, on stores of this machine.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { foldCommands, unfoldCheckCommand } from '../../src/cli/check-command.ts';
import { lines, pkbackup } from './program.ts';

let cwd: string;
beforeAll(async () => {
  cwd = mkdtempSync(join(tmpdir(), 'pkbackup-cli-drill-'));
  mkdirSync(join(cwd, 'memory'));
  for (const name of ['one', 'two', 'three']) writeFileSync(join(cwd, 'memory', name), name);
  const database = new DatabaseSync(join(cwd, 'events.db'));
  database.exec('CREATE TABLE events (id INTEGER PRIMARY KEY, body TEXT)');
  database.exec(
    `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) INSERT INTO events SELECT i, 'e' || i FROM n`,
  );
  database.close();
  const stores = 'events: { kind: sqlite, path: ./events.db }\n  memory: { kind: directory, path: ./memory }';
  writeFileSync(join(cwd, 'pkbackup.yaml'), `stores:\n  ${stores}\n`);
  const { exitCode, stderr } = await pkbackup(['backup', '--quiet'], { cwd });
  expect(exitCode, stderr).toBe(0);
});
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

const drill = (...args: string[]) => pkbackup(['drill', ...args], { cwd });

test('a drill has one line for each backup, the recovery time, and the exit code 0', async () => {
  const { exitCode, stdout, stderr } = await drill();
  expect(exitCode, stderr).toBe(0);
  const [events, memory, sum, ...others] = lines(stdout);
  expect(events).toMatch(
    /^good {2}events-backup-\d{8}-\d{6} {2}back in \d\.\d s {2}1 table, 500 rows, 500 events, 2 answers as before$/,
  );
  expect(memory).toMatch(
    /^good {2}memory-backup-.* {2}back in \d\.\d s {2}3 files, 0 directories, 4 answers as before$/,
  );
  expect(sum).toMatch(/^2 backups drilled, all good · recovery \d\.\d s in all · \d\.\d s with all checks$/);
  expect(others).toEqual([]);
  expect(readdirSync(join(cwd, 'backups', '.pkbackup', 'scratch'))).toEqual([]);
  expect(existsSync(join(cwd, 'backups', '.pkbackup', 'journal'))).toBe(false);
  const listed = await pkbackup(['list'], { cwd });
  expect(listed.stdout).toMatch(/drilled just now, \d\.\d s/);
});

test("a check of one's own is told where it is, keeps its flags, and decides", async () => {
  const program = `const { PKBACKUP_DRILL_PATH: path, PKBACKUP_DRILL_STORE: store, PKBACKUP_DRILL_KIND: kind } = process.env;
    console.log(store, kind, require('node:fs').readdirSync(path).sort().join());
    process.exit(Number(process.argv[1]))`;
  const good = await drill('memory', '--check', process.execPath, '-e', program, '--', '0');
  expect(good.exitCode, good.stderr).toBe(0);
  expect(good.stderr).toMatch(/memory: check: memory directory one,three,two/);
  const bad = await drill('memory', '--json', '--check', process.execPath, '-e', program, '--', '3');
  expect(bad.exitCode).toBe(7);
  expect(JSON.parse(bad.stdout)).toMatchObject({
    ok: false,
    drills: [
      {
        store: 'memory',
        ok: false,
        found_by: 'drill',
        findings: [
          expect.stringMatching(/^the check ".*" failed \(exit code 3\): memory directory one,three,two$/),
        ],
        recovery_ms: expect.any(Number),
      },
    ],
  });
  const none = await drill('memory', '--check', 'no-such-program-of-mine');
  expect(none.exitCode).toBe(64);
  expect(none.stderr).toMatch(/the check "no-such-program-of-mine" cannot be started: .*ENOENT/);
});

test('fewer than expected is a finding, and a count that is not there a mistake', async () => {
  const enough = await drill('events', '--expected-min', '500', '--expected-min', 'events=500', '--quiet');
  expect(enough, enough.stderr).toMatchObject({ exitCode: 0, stdout: '' });
  const few = await drill('events', '--expected-min', 'rows=501', '--quiet');
  expect(few.exitCode).toBe(7);
  expect(few.stdout).toMatch(/expected at least 501 rows, found 500/);
  const wrong = await drill('events', '--expected-min', 'event=1');
  expect(wrong.exitCode).toBe(64);
  expect(wrong.stderr).toMatch(/the store has no count "event", did you mean "events"\?/);
});

test('a backup may be drilled at once; what it finds is in its answer', async () => {
  const { exitCode, stdout, stderr } = await pkbackup(['backup', 'memory', '--drill', '--json'], { cwd });
  expect(exitCode, stderr).toBe(0);
  const { stores, drill } = JSON.parse(stdout);
  expect(drill).toMatchObject({ ok: true, drills: [{ name: stores[0].backup.stem, samples_asked: 4 }] });
  const { checks } = JSON.parse(
    readFileSync(stores[0].backup.path.replace(/\.tar\.gz$/, '.metadata.json'), 'utf8'),
  );
  expect(checks).toMatchObject([{ level: 'drill', ok: true }]);
});

test.each([
  ['an image for several stores', ['--image', 'x'], 64, /--image is of one kind of server/],
  [
    'an image for a store without a server',
    ['events', '--image', 'x'],
    64,
    /a store of kind sqlite needs no image/,
  ],
  ['no such backup', ['evnts'], 3, /there is no backup "evnts"/],
  ['a number that is none', ['--expected-min', 'rows=many'], 64, /--expected-min: expected a whole number/],
  ['a check without a command', ['--check'], 64, /argument missing/],
])('%s is refused', async (_what, args, code, message) => {
  const { exitCode, stderr } = await drill(...args);
  expect(exitCode).toBe(code);
  expect(stderr).toMatch(message);
});

test('what follows --check is none of our flags, before it they are', () => {
  const [first, second, ...others] = foldCommands([
    'drill',
    '--quiet',
    '--check',
    'sh',
    '-c',
    'exit 0',
    '--json',
  ]);
  expect([first, second, others[0]]).toEqual(['drill', '--quiet', '--check']);
  expect(unfoldCheckCommand(others.slice(1))).toEqual(['sh', '-c', 'exit 0', '--json']);
  expect(unfoldCheckCommand(['./ask.sh'])).toEqual(['./ask.sh']);
  expect(foldCommands(['list', '--check', 'x', 'y'])).toEqual(['list', '--check', 'x', 'y']);
});
