// pkbackup schedule with Debian's crontab: told again and again, beside what others have in it. That cron then does it is in
// test/slow/cron.test.ts, and what texts mean in test/schedule.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type CronMachine, startCronMachine } from './cron-machine.ts';

let machine: CronMachine;
beforeAll(async () => {
  machine = await startCronMachine();
  const deadline = Date.now() + 120_000;
  while ((await machine.sh('cat /proc/1/comm')).stdout.trim() !== 'cron')
    if (Date.now() > deadline) throw new Error('cron does not run');
  configure('one', '"0 3 * * *"');
  configure('two words', '"0 4 * * *"');
});
afterAll(() => rmSync(machine.directory, { recursive: true, force: true }));
beforeEach(async () => {
  await machine.sh('crontab -r || true');
});

function configure(directory: string, schedule: string, more = ''): void {
  mkdirSync(join(machine.data, directory, 'memory'), { recursive: true });
  writeFileSync(
    join(machine.data, directory, 'pkbackup.yaml'),
    `schedule: ${schedule}\n${more}stores: { memory: { kind: directory, path: memory } }\n`,
  );
}

const crontab = async () => (await machine.sh('crontab -l')).stdout;
const install = (directory: string, ...args: string[]) =>
  machine.pkbackup(directory, 'schedule', 'install', 'cron', ...args);
/** Of others: a variable, an encoding that is not ours, a line without an end. */
const others = String.raw`printf 'MAILTO=me\n# \344lter\n5 4 * * * /bin/true \\%% x # no end'`;

describe('a crontab', () => {
  it('gets an entry, once, and forgets it; what others have in it stays byte for byte', async () => {
    await machine.sh(`${others} > /tmp/before; echo >> /tmp/before; crontab /tmp/before`);
    expect(await install('one')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^crontab: pkbackup-one-[0-9a-f]{8} installed\n/),
    });
    const once = await crontab();
    expect(once).toMatch(
      /^0 3 \* \* \* cd \/data\/one && PATH=\S+ \S+ \S+ --config \/data\/one\/pkbackup\.yaml --quiet backup$/m,
    );
    expect((await install('one')).stdout).toContain('was installed already');
    expect(await crontab()).toBe(once);
    expect((await machine.pkbackup('one', 'schedule', 'remove')).stdout).toMatch(/removed\n$/);
    expect((await machine.sh('crontab -l | cmp - /tmp/before')).stderr).toBe('');
    expect((await machine.pkbackup('one', 'schedule', 'remove')).stdout).toBe('nothing was installed\n');
  });

  it('holds those of several config files, each of which is changed alone', async () => {
    await install('one');
    await install('two words', '--wait', '1h', '--log-file', 'log');
    const both = await crontab();
    expect(both).toContain(
      "--config '/data/two words/pkbackup.yaml' --log-file '/data/two words/log' --wait 1h --quiet backup",
    );
    configure('two words', '"30 5 * * 1"');
    await install('two words');
    const after = await crontab();
    const ofOne = (text: string) =>
      text.slice(text.indexOf('# BEGIN pkbackup-one'), text.indexOf('# END pkbackup-one'));
    expect(ofOne(after)).toBe(ofOne(both));
    expect(after).toMatch(/^30 5 \* \* 1 /m);
    expect(after).not.toMatch(/^0 4 /m);
    // It may be named from elsewhere, and be gone.
    const gone = await machine.pkbackup(
      'one',
      'schedule',
      'remove',
      '--config',
      '../two words/pkbackup.yaml',
    );
    expect(gone.stdout).toMatch(/pkbackup-two-words-[0-9a-f]{8} removed/);
    expect((await crontab()).match(/# BEGIN/g)).toHaveLength(1);
  });

  it('is not written where it cannot be understood, or where the schedule cannot be said', async () => {
    await install('one');
    await machine.sh('crontab -l | grep -v "# END" | crontab -');
    const cut = await crontab();
    const refused = await install('one');
    expect(refused).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/error: the crontab has the line .* and no line/),
    });
    expect(await crontab()).toBe(cut);
    configure('odd', '"0 3 L * *"');
    expect(await install('odd')).toMatchObject({
      exitCode: 78,
      stderr: expect.stringContaining('it knows no last day of a month'),
    });
    configure('odd', '"0 3 * * *"', 'time_zone: Europe/Berlin\n');
    expect((await install('odd')).stderr).toContain(
      'it goes by the clock of the system (UTC), not Europe/Berlin',
    );
    expect(await crontab()).toBe(cut);
  });

  it('that cannot be read is not taken for an empty one', async () => {
    await install('one');
    const before = await crontab();
    // As where the user may not have one.
    await machine.sh('echo root > /etc/cron.deny');
    try {
      const denied = await machine.sh(
        'mkdir -p /tmp/bin; printf "#!/bin/sh\\n[ \\$1 = -l ] && { echo broken >&2; exit 1; }\\nexec /usr/bin/crontab \\"\\$@\\"\\n" > /tmp/bin/crontab; chmod 755 /tmp/bin/crontab; cd /data/one; PATH=/tmp/bin:$PATH exec /opt/pkbackup/node /opt/pkbackup/program/bin/pkbackup.js schedule install cron',
      );
      expect(denied).toMatchObject({
        exitCode: 1,
        stderr: expect.stringContaining('"crontab -l" ended with exit code 1: broken'),
      });
    } finally {
      await machine.sh('rm -f /etc/cron.deny');
    }
    expect(await crontab()).toBe(before);
  });
});

describe('before anything is told', () => {
  it('the config file is read as the scheduled backup will read it', async () => {
    configure('needs', '"0 3 * * *"');
    writeFileSync(
      join(machine.data, 'needs', 'pkbackup.yaml'),
      'schedule: "@daily"\nrepository: $' +
        '{PLACE}\nstores: { memory: { kind: directory, path: memory } }\n',
    );
    const inShell =
      'cd /data/needs; export PLACE=/data/needs/b BACKUP_WEBHOOK=https://example.org/x; exec /opt/pkbackup/node /opt/pkbackup/program/bin/pkbackup.js schedule install cron';
    const refused = await machine.sh(inShell);
    expect(refused.exitCode).toBe(78);
    expect(refused.stderr).toContain('the scheduled backup would fail:\n');
    expect(refused.stderr).toContain(
      'hint: a scheduler knows nothing of this shell: put variables into "/data/needs/.env"',
    );
    writeFileSync(join(machine.data, 'needs', '.env'), 'PLACE=/data/needs/b\n');
    const done = await machine.sh(inShell);
    expect(done).toMatchObject({
      exitCode: 0,
      stderr: expect.stringContaining('BACKUP_WEBHOOK is set in this shell'),
    });
    expect(await crontab()).not.toContain('example.org');
  });

  it('systemd that does not run is told nothing, and cron is what there is', async () => {
    const refused = await machine.pkbackup('one', 'schedule', 'install', 'systemd');
    expect(refused).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('there is no program "systemctl" here'),
    });
    expect((await machine.pkbackup('one', 'schedule', 'install')).stdout).toContain('crontab: pkbackup-one-');
  });
});
