// What systemd says to our units, and xmllint to our XML, with the programs of Debian: the moments of a timer must be those of
// the schedule, also where the clocks change.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { execa } from 'execa';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchdTexts, nextTimes, type Schedule, systemdTexts, taskTexts } from '../../src/schedule/index.ts';
import { calendarLines } from '../../src/schedule/systemd-text.ts';
import { unpackDebianPackages } from '../debian-packages.ts';
import { entryOf, expressions, hostile, now, scheduleOf } from './entries.ts';

/** Of random schedules. */
const runs = Number(process.env.PKBACKUP_TEST_SCHEDULES ?? 20);

let packages: string;
let directory: string;
beforeAll(async () => {
  packages = await unpackDebianPackages('systemd', 'libsystemd-shared', 'libxml2-utils');
  directory = mkdtempSync(join(tmpdir(), 'pkbackup-units-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function run(program: string, ...args: string[]) {
  const libraries = join(
    packages,
    'usr',
    'lib',
    process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu',
  );
  return execa(join(packages, 'usr', 'bin', program), args, {
    env: {
      LD_LIBRARY_PATH: `${join(libraries, 'systemd')}:${libraries}`,
      TZ: 'UTC',
      LC_ALL: 'C.UTF-8',
      XDG_RUNTIME_DIR: directory,
      HOME: directory,
    },
    reject: false,
    all: true,
  });
}

/** When one line elapses, as systemd reckons it. */
async function elapses(line: string, from: Date, count: number): Promise<string[]> {
  const base = `${from.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
  const { all, exitCode } = await run(
    'systemd-analyze',
    'calendar',
    `--iterations=${count}`,
    `--base-time=${base}`,
    line,
  );
  if (exitCode !== 0) throw new Error(`${line}: ${all}`);
  const times = [...all.matchAll(/(?:Next elapse|Iter\. #\d+): \w+ (\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC/g)];
  return times.map(([, date, time]) => `${date}T${time}.000Z`);
}

/** When the timer does: at any of its lines. */
async function timerElapses(schedule: Schedule, from: Date, count: number): Promise<string[]> {
  const lines = calendarLines(schedule, 'Etc/Nowhere', now);
  const all = (await Promise.all(lines.map((line) => elapses(line, from, count)))).flat();
  return [...new Set(all)].sort().slice(0, count);
}

const expectedOf = (schedule: Schedule, from: Date, count: number) => {
  return nextTimes(schedule, from, count).map((time) => time.toISOString());
};

describe('a timer', () => {
  it('elapses at the moments of any schedule', async () => {
    await fc.assert(
      fc.asyncProperty(expressions(true), async (expression) => {
        const schedule = scheduleOf(expression);
        const from = new Date('2027-12-30T22:58Z');
        expect(await timerElapses(schedule, from, 12)).toEqual(expectedOf(schedule, from, 12));
      }),
      { numRuns: runs },
    );
  });

  it.each([
    ['30 2 * * *', 'Europe/Berlin', '2027-03-26T12:00Z'],
    ['30 2 * * *', 'Europe/Berlin', '2027-10-29T12:00Z'],
    ['0 2,3 * * *', 'Europe/Berlin', '2027-03-26T12:00Z'],
    ['30 * * * *', 'Europe/Berlin', '2027-10-30T20:00Z'],
    ['*/20 * * * *', 'America/New_York', '2027-11-07T03:00Z'],
    ['30 1 * * *', 'America/New_York', '2027-11-05T12:00Z'],
    ['30 2 * * 0', 'America/New_York', '2027-03-10T12:00Z'],
    ['15 2 * * *', 'Australia/Lord_Howe', '2027-10-01T00:00Z'],
    ['0 3 29 2 *', 'Asia/Kathmandu', '2026-01-01T00:00Z'],
    ['0 3 L 2 *', 'UTC', '2027-01-01T00:00Z'],
  ])(
    'elapses rightly where the clocks change, and on leap days: %s in %s',
    async (expression, timeZone, from) => {
      const schedule = scheduleOf(expression, timeZone);
      expect(await timerElapses(schedule, new Date(from), 8)).toEqual(
        expectedOf(schedule, new Date(from), 8),
      );
    },
  );

  it('names no zone that is that of the system: it may change', () => {
    expect(calendarLines(scheduleOf('0 3 * * *', 'Asia/Tokyo'), 'Asia/Tokyo', now)).toEqual([
      '*-*-* 03:00:00',
    ]);
  });
});

describe('units', () => {
  it.each(['system', 'user'] as const)(
    'of the %s are good by systemd-analyze verify, whatever is in the paths',
    async (scope) => {
      for (const text of ['plain', ...hostile.filter((one) => !one.includes('\\'))]) {
        const place = join(directory, scope, text.replaceAll('/', '_'));
        mkdirSync(place, { recursive: true });
        const entry = entryOf([scheduleOf('30 2 * * *', 'Europe/Berlin'), scheduleOf('*/5 9-17 1,L * 5L')], {
          source: join(place, 'pkbackup.yaml'),
          directory: place,
          environment: { PATH: '/usr/bin:/bin', X: text },
        });
        const jobs = entry.jobs.map((job) => ({
          ...job,
          argv: [process.execPath, ...job.argv.slice(1), text],
        }));
        const paths = systemdTexts({ ...entry, jobs }, { scope, now }).map((unit) => {
          writeFileSync(join(directory, unit.name), unit.text);
          return join(directory, unit.name);
        });
        expect(paths).toHaveLength(4);
        const { exitCode, all } = await run('systemd-analyze', 'verify', '--man=no', `--${scope}`, ...paths);
        const ours = all.split('\n').filter((line) => line.includes('pkbackup-stack'));
        expect({ exitCode, ours }).toEqual({ exitCode: 0, ours: [] });
      }
    },
  );

  it('let the watchdog live, and give a backup the time that it takes', () => {
    const [service] = systemdTexts(entryOf(scheduleOf('0 3 * * *')), { scope: 'system', now });
    expect(service?.text).toMatch(/^KillMode=process$/m);
    expect(service?.text).toMatch(/^TimeoutStartSec=infinity$/m);
  });

  it('that are wrong are found by it', async () => {
    const path = join(directory, 'wrong.service');
    writeFileSync(path, '[Service]\nType=oneshot\nExecStart=relative/program "\nKillMode=sometimes\n');
    const { all } = await run('systemd-analyze', 'verify', '--man=no', path);
    expect(all).toContain('wrong.service');
  });
});

describe('XML', () => {
  const schedules = [
    '30 2 * * *',
    '*/15 * * * *',
    '0 3 1,15,L 1-3 *',
    '0 3 * * 1#2',
    '0 4 * 6 5L',
    '0 3 13 * 5',
    '0 3 * 1 mon-fri',
  ];

  it.each(['system', 'user'] as const)(
    'of tasks (%s) is good by the schema of the Task Scheduler',
    async (scope) => {
      for (const [index, expression] of schedules.entries()) {
        const entry = entryOf(scheduleOf(expression), {
          directory: `C:\\${hostile[index] ?? ''}`,
          source: hostile.join(' '),
        });
        const path = join(directory, `task-${scope}-${index}.xml`);
        writeFileSync(path, `\uFEFF${taskTexts(entry, { scope, now })[0]?.text}`, 'utf16le');
        const { exitCode, all } = await run(
          'xmllint',
          '--noout',
          '--nonet',
          '--schema',
          join(import.meta.dirname, 'task-subset.xsd'),
          path,
        );
        expect({ expression, exitCode, all }).toEqual({ expression, exitCode: 0, all: `${path} validates` });
      }
    },
  );

  it('that is wrong is found by it', async () => {
    const text = taskTexts(entryOf(scheduleOf('0 3 * * 1#2')), { scope: 'user', now })[0]?.text ?? '';
    for (const wrong of [
      text.replace('<Week>2<', '<Week>5<'),
      text.replace('IgnoreNew', 'Ignore'),
      text.replace(/<StartBoundary>.*/, ''),
    ]) {
      const path = join(directory, 'wrong.xml');
      writeFileSync(path, wrong.replace('UTF-16', 'UTF-8'));
      expect(
        (
          await run(
            'xmllint',
            '--noout',
            '--nonet',
            '--schema',
            join(import.meta.dirname, 'task-subset.xsd'),
            path,
          )
        ).exitCode,
      ).toBe(3);
    }
  });

  it('of property lists is well-formed', async () => {
    const entry = entryOf(scheduleOf('*/5 9-17 1,13 * 5'), {
      environment: Object.fromEntries(hostile.map((text, index) => [`X${index}`, text])),
      source: hostile.join('--'),
    });
    const path = join(directory, 'agent.plist');
    writeFileSync(path, launchdTexts(entry, { logDirectory: '/tmp', now })[0]?.text ?? '');
    expect(await run('xmllint', '--noout', '--nonet', path)).toMatchObject({ exitCode: 0, all: '' });
  });
});
