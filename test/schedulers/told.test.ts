// What the programs of systemd, launchd and Windows are told, and what is written for them. They are not on this machine, so
// programs stand in for them that note how they were called; Debian's real cron is in test/cli/schedule.docker.test.ts.
import {
  chmodSync,
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
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Place, type SchedulerName, schedulers } from '../../src/schedulers/index.ts';
import { entryOf, now, scheduleOf } from '../schedule/entries.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'pkbackup-told-'));
  mkdirSync(join(home, 'bin'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

/** `script` is for sh; what it was called with is noted first. */
function standIn(program: string, script = 'exit 0'): void {
  const path = join(home, 'bin', program);
  writeFileSync(path, `#!/bin/sh\necho "$@" >> "${join(home, 'calls')}"\n${script}\n`);
  chmodSync(path, 0o755);
}

function calls(): string[] {
  const path = join(home, 'calls');
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  rmSync(path);
  return lines;
}

const place = (): Place => ({
  scope: 'user',
  homeDirectory: home,
  environment: { PATH: `${join(home, 'bin')}:/usr/bin:/bin`, USER: 'nobody-here', HOME: home },
  userId: 501,
});

function scheduler(name: SchedulerName) {
  const found = schedulers.find((one) => one.name === name);
  if (!found) throw new Error(name);
  return found;
}

const id = 'pkbackup-stack-1f3a9c2e';
const one = entryOf(scheduleOf('0 3 * * *'));
const two = entryOf([scheduleOf('0 3 * * *'), scheduleOf('0 4 * * *')]);
const shifted = entryOf(scheduleOf('30 3 * * *'));

describe.runIf(process.platform !== 'win32')('systemd', () => {
  const units = () => readdirSync(join(home, '.config', 'systemd', 'user')).sort();
  const foreign = ['pkbackup-stack-1f3a9c2e-old.timer', 'pkbackup-stack-1f3a9c2ef.service', 'other.timer'];

  it('gets units, once, and forgets them; those of others stay', async () => {
    standIn('systemctl');
    mkdirSync(join(home, '.config', 'systemd', 'user'), { recursive: true });
    for (const name of foreign) writeFileSync(join(home, '.config', 'systemd', 'user', name), 'mine');
    const first = await scheduler('systemd').install(two, place(), now);
    expect(first).toMatchObject({
      hasChanged: true,
      remark: expect.stringContaining('loginctl enable-linger nobody-here'),
    });
    expect(calls()).toEqual([
      '--user daemon-reload',
      '--user daemon-reload',
      `--user enable --now ${id}.timer ${id}-2.timer`,
      `--user restart ${id}.timer ${id}-2.timer`,
    ]);
    const own = [`${id}-2.service`, `${id}-2.timer`, `${id}.service`, `${id}.timer`];
    expect(units()).toEqual([...own, ...foreign].sort());
    expect((await scheduler('systemd').install(two, place(), now)).hasChanged).toBe(false);
    // Running timers are left alone.
    expect(calls().filter((call) => call.includes('restart'))).toEqual([]);
    expect((await scheduler('systemd').install(shifted, place(), now)).hasChanged).toBe(true);
    expect(calls()).toContain(`--user disable --now ${id}-2.timer`);
    expect(units()).toEqual([`${id}.service`, `${id}.timer`, ...foreign].sort());
    expect(
      (await scheduler('systemd').remove(id, place())).map((path) => path.slice(home.length)),
    ).toHaveLength(2);
    expect(units()).toEqual([...foreign].sort());
    expect(await scheduler('systemd').remove(id, place())).toEqual([]);
  });

  it('is told nothing, and no file is written, where it does not run', async () => {
    standIn('systemctl', 'echo "System has not been booted with systemd" >&2; exit 1');
    await expect(scheduler('systemd').install(one, place(), now)).rejects.toMatchObject({
      code: 'failed',
      message:
        '"systemctl --user daemon-reload" ended with exit code 1: System has not been booted with systemd',
      hint: expect.stringContaining('schedule install cron'),
    });
    expect(existsSync(join(home, '.config'))).toBe(false);
    expect(await scheduler('systemd').remove(id, place())).toEqual([]);
  });
});

describe.runIf(process.platform !== 'win32')('launchd', () => {
  const agents = () => readdirSync(join(home, 'Library', 'LaunchAgents')).sort();

  it('gets property lists, once, loads them anew when they change, and forgets them', async () => {
    // Whether it is loaded: a file of the stand-in's own.
    const isLoaded = `"${home}/loaded-$(basename "$2" .plist)"`;
    standIn(
      'launchctl',
      `case $1 in print) [ -e ${isLoaded} ];; bootout) rm ${isLoaded};; bootstrap) : > "${home}/loaded-$(basename "$3" .plist)";; esac`,
    );
    expect((await scheduler('launchd').install(two, place(), now)).hasChanged).toBe(true);
    expect(calls()).toEqual([
      `print gui/501/${id}`,
      `bootstrap gui/501 ${home}/Library/LaunchAgents/${id}.plist`,
      `print gui/501/${id}-2`,
      `bootstrap gui/501 ${home}/Library/LaunchAgents/${id}-2.plist`,
    ]);
    expect(existsSync(join(home, 'Library', 'Logs', 'pkbackup'))).toBe(true);
    expect((await scheduler('launchd').install(two, place(), now)).hasChanged).toBe(false);
    expect(calls().filter((call) => !call.startsWith('print'))).toEqual([]);
    expect((await scheduler('launchd').install(shifted, place(), now)).hasChanged).toBe(true);
    expect(calls()).toEqual([
      `bootout gui/501/${id}-2`,
      `print gui/501/${id}`,
      `bootout gui/501/${id}`,
      `bootstrap gui/501 ${home}/Library/LaunchAgents/${id}.plist`,
    ]);
    expect(agents()).toEqual([`${id}.plist`]);
    expect(await scheduler('launchd').remove(id, place())).toHaveLength(1);
    expect(agents()).toEqual([]);
  });
});

describe.runIf(process.platform !== 'win32')('the Task Scheduler', () => {
  it('gets tasks as UTF-16 in a folder of our own, and forgets those of this config file only', async () => {
    const there = [
      '\\pkbackup\\pkbackup-stack-1f3a9c2e',
      '\\pkbackup\\pkbackup-stack-1f3a9c2e-2',
      '\\pkbackup\\pkbackup-other-00000000',
      '\\pkbackup-stack-1f3a9c2e',
    ];
    const listed = there.map((name) => `"${name}","N/A","Ready"`).join('\n');
    writeFileSync(join(home, 'listed'), listed);
    standIn(
      'schtasks',
      `case $1 in /Query) cat "${home}/listed";; /Create) cp "$5" "${home}/task.xml";; esac`,
    );
    await scheduler('task-scheduler').install(one, place(), now);
    const told = calls();
    expect(told[1]).toMatch(/^\/Create \/TN \\pkbackup\\pkbackup-stack-1f3a9c2e \/XML \S+task\.xml \/F$/);
    expect(told.slice(2)).toEqual([`/Delete /TN ${there[1]} /F`]);
    const bytes = readFileSync(join(home, 'task.xml'));
    expect([...bytes.subarray(0, 2)]).toEqual([0xff, 0xfe]);
    expect(bytes.toString('utf16le')).toContain('<?xml version="1.0" encoding="UTF-16"?>');
    expect(await scheduler('task-scheduler').remove(id, place())).toEqual(there.slice(0, 2));
    expect(calls().slice(1)).toEqual(there.slice(0, 2).map((name) => `/Delete /TN ${name} /F`));
  });
});
