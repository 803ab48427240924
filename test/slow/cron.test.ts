// Debian's cron makes the backups, for some minutes, in a directory whose name has everything in it that cron and the shell
// give a meaning to. PKBACKUP_TEST_CRON_MINUTES says for how long.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CronMachine, startCronMachine } from '../cli/cron-machine.ts';

const minutes = Number(process.env.PKBACKUP_TEST_CRON_MINUTES ?? 3);
const name = `it's 100% "a b" $HOME \\% ünï`;

let machine: CronMachine;
beforeAll(async () => {
  machine = await startCronMachine();
});
afterAll(() => rmSync(machine.directory, { recursive: true, force: true }));

test(`cron makes a backup every minute, for ${minutes} minutes`, {
  timeout: (minutes + 10) * 60_000,
}, async () => {
  const place = join(machine.data, name);
  mkdirSync(join(place, 'memory'), { recursive: true });
  writeFileSync(join(place, 'memory', 'note.md'), 'remember');
  writeFileSync(
    join(place, 'pkbackup.yaml'),
    `schedule: "* * * * *"
hooks: { after: [sh, -c, 'echo "$PATH|$PWD" >> environment'] }
stores: { memory: { kind: directory, path: memory } }
`,
  );
  const { exitCode, stderr } = await machine.pkbackup(
    name,
    'schedule',
    'install',
    'cron',
    '--log-file',
    'log',
  );
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  const made = () => {
    if (!readdirSync(place).includes('backups')) return [];
    return readdirSync(join(place, 'backups')).filter((file) => file.endsWith('.tar.gz'));
  };
  while (made().length < minutes) await sleep(1000);
  expect((await machine.pkbackup(name, 'schedule', 'remove')).exitCode).toBe(0);
  // In the first seconds of each minute, one after the other.
  const times = made().map((file) => /-(\d{8}-\d{4})\d\d\.tar\.gz$/.exec(file)?.[1]);
  expect(new Set(times).size).toBe(times.length);
  expect((await machine.pkbackup(name, 'status', '--json')).exitCode).toBe(0);
  process.stdout.write(`cron made ${times.length} backups: ${times.join(', ')}\n`);
});
