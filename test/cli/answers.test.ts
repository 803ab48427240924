// The whole way through the real program, with a database and a directory as stores: answers, streams, exit codes.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { execa } from 'execa';
import { beforeEach, describe, expect, it } from 'vitest';
import { cleanEnvironment, lines, makeDirectory, pkbackup, shim } from './program.ts';

const config = `repository: ./backups
stores:
  events: { kind: sqlite, path: events.db }
  memory: { kind: directory, path: memory, exclude: ["*.tmp"] }
`;

let cwd: string;

beforeEach(() => {
  cwd = makeDirectory({ 'pkbackup.yaml': config });
  const database = new DatabaseSync(join(cwd, 'events.db'));
  database.exec("CREATE TABLE events (body TEXT); INSERT INTO events VALUES ('first'), ('second')");
  database.close();
  mkdirSync(join(cwd, 'memory'));
  writeFileSync(join(cwd, 'memory', 'note.md'), 'remember');
  writeFileSync(join(cwd, 'memory', 'x.tmp'), 'forget');
});

const run = (...args: string[]) => pkbackup(args, { cwd });
const json = async (...args: string[]) => JSON.parse((await run(...args, '--json')).stdout);
const colour = /\u001b\[/;

describe('a first backup and a first restore', () => {
  it('bring back what was destroyed, and keep what was replaced', async () => {
    const made = await run('backup');
    expect(made.exitCode).toBe(0);
    expect(lines(made.stdout).at(-1)).toMatch(/^set .* · 2 of 2 stores backed up · /);
    rmSync(join(cwd, 'memory'), { recursive: true });
    writeFileSync(join(cwd, 'events.db'), 'not a database any more');

    const restored = await run('restore', 'memory@latest', '--yes');
    expect(restored).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('memory is restored') });
    expect(readFileSync(join(cwd, 'memory', 'note.md'), 'utf8')).toBe('remember');
    expect(existsSync(join(cwd, 'memory', 'x.tmp'))).toBe(false);

    expect((await run('restore', 'events@1', '--yes')).exitCode).toBe(0);
    const database = new DatabaseSync(join(cwd, 'events.db'));
    expect(database.prepare('SELECT count(*) AS n FROM events').get()).toEqual({ n: 2 });
    database.close();
    expect((await run('list', 'events')).stdout).toContain('@pre-restore');
  });

  it('can be done beside, without asking, and never over what is there', async () => {
    await run('backup', 'memory');
    const first = await run('restore', 'memory@1', '--to', 'beside');
    expect(first.exitCode).toBe(0);
    expect(readFileSync(join(cwd, 'beside', 'note.md'), 'utf8')).toBe('remember');
    writeFileSync(join(cwd, 'beside', 'note.md'), 'mine');
    const again = await run('restore', 'memory@1', '--to', 'beside');
    expect(again.exitCode).not.toBe(0);
    expect(lines(again.stderr).filter((line) => line.startsWith('error: '))).toHaveLength(1);
    expect(readFileSync(join(cwd, 'beside', 'note.md'), 'utf8')).toBe('mine');
  });
});

describe('restore --rollback', () => {
  const note = () => readFileSync(join(cwd, 'memory', 'note.md'), 'utf8');

  it('goes back to what the last restore replaced, and forth again', async () => {
    await run('backup', 'memory');
    writeFileSync(join(cwd, 'memory', 'note.md'), 'newer');
    const first = await run('restore', 'memory@1', '--yes');
    expect(first.stdout).toContain('to go back: pkbackup restore memory --rollback');
    expect(note()).toBe('remember');

    const plan = await json('restore', 'memory', '--rollback', '--dry-run');
    expect(plan).toMatchObject({ dry_run: true, backup: { store: 'memory', safety: true } });
    expect(note()).toBe('remember');
    const unasked = await run('restore', 'memory', '--rollback');
    expect(unasked).toMatchObject({ exitCode: 64, stdout: '' });
    expect(unasked.stderr).toContain('pkbackup restore memory --rollback --yes');

    expect(await json('restore', 'memory', '--rollback', '--yes')).toMatchObject({
      ok: true,
      safety_backup: { safety: true },
    });
    expect(note()).toBe('newer');
    await run('restore', 'memory', '--rollback', '--yes');
    expect(note()).toBe('remember');
  });

  it('says where there is nothing to go back to', async () => {
    await run('backup');
    const none = await run('restore', 'memory', '--rollback', '--yes');
    expect(none.exitCode).toBe(3);
    expect(lines(none.stderr).slice(-2)).toEqual([
      'error: there is no safety backup of "memory" to go back to',
      'hint: a restore makes one of what it replaces, unless it was told --no-safety-backup',
    ]);
    await run('restore', 'memory@1', '--yes');
    const { stem } = (await json('restore', 'memory', '--rollback', '--dry-run')).backup;
    const mistyped = await run('restore', 'memori', '--rollback', '--yes');
    expect(mistyped.stderr).toContain('of "memori" to go back to, did you mean "memory"?');
    await run('prune', '--keep-last', '1', '--keep-safety', '1s', '--yes');
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await run('prune', '--keep-last', '1', '--keep-safety', '1s', '--yes');
    const pruned = await run('restore', 'memory', '--rollback', '--yes');
    expect(pruned.stderr).toContain(`prune has moved the last one to the trash: pkbackup undelete ${stem}`);
  });

  it('takes the name of a store, and nothing else', async () => {
    for (const words of [[], ['memory@1'], ['backups/memory.tar.gz']])
      expect((await run('restore', ...words, '--rollback', '--yes')).exitCode).toBe(64);
  });
});

describe('stdout and stderr', () => {
  it('carry the answer and everything else', async () => {
    const { stdout, stderr } = await run('backup');
    expect(lines(stdout)[0]).toMatch(/^2 stores · repository \.\/backups/);
    for (const line of lines(stderr))
      expect(line).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}(events|memory): /);
  });

  it('are empty with --quiet when nothing is wrong', async () => {
    for (const args of [
      ['backup'],
      ['verify', '--level', 'content'],
      ['prune', '--keep-last', '5', '--yes'],
    ]) {
      expect(await run(...args, '--quiet')).toEqual({ exitCode: 0, stdout: '', stderr: '' });
    }
    expect((await run('list', '--quiet')).stdout).toContain('events@'.slice(0, 6));
  });

  it('have no colour in a pipe, unless it is asked for, and never with NO_COLOR', async () => {
    await run('backup');
    expect((await run('list')).stdout).not.toMatch(colour);
    expect((await run('list', '--color')).stdout).toMatch(colour);
    expect((await pkbackup(['list'], { cwd, env: { FORCE_COLOR: '1' } })).stdout).toMatch(colour);
    expect((await pkbackup(['list'], { cwd, env: { FORCE_COLOR: '1', NO_COLOR: '1' } })).stdout).not.toMatch(
      colour,
    );
    expect((await run('list', '--no-color')).stdout).not.toMatch(colour);
  });

  it('may have lost their reader', async () => {
    await run('backup');
    const { exitCode, stderr } = await execa(
      process.execPath,
      [
        '-e',
        `const { spawn } = require('node:child_process');
        const child = spawn(process.execPath, ${JSON.stringify([shim, 'list', '--json'])}, { stdio: ['ignore', 'pipe', 'inherit'] });
        child.stdout.destroy();
        child.on('exit', (code) => process.exit(code));`,
      ],
      { cwd, env: cleanEnvironment(), extendEnv: false, reject: false },
    );
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  });
});

describe('--json', () => {
  it('is one document of each command', async () => {
    const made = await json('backup');
    expect(made).toMatchObject({
      ok: true,
      stores: [
        { store: 'events', ok: true },
        { store: 'memory', ok: true },
      ],
    });
    const listed = await json('list');
    expect(listed.stores.map(({ store }: { store: string }) => store)).toEqual(['events', 'memory']);
    expect(listed.stores[0].backups[0]).toMatchObject({ reference: 'events@1', set_id: made.set_id });
    expect(await json('verify')).toMatchObject({ ok: true, backups: [{ ok: true }, { ok: true }] });
    expect(await json('prune', '--dry-run')).toMatchObject({ dry_run: true, policy_from: 'default' });
    expect(await json('restore', 'memory@1', '--dry-run')).toMatchObject({ dry_run: true, replaces: true });
    expect(await json('restore', 'memory@1', '--yes')).toMatchObject({
      ok: true,
      safety_backup: { safety: true },
    });
    expect(await json('backup', '--dry-run')).toMatchObject({
      ok: true,
      stores: [{ look: {} }, { look: {} }],
    });
    expect(await json()).toMatchObject({
      stores: [
        { store: 'events', newest: {} },
        { store: 'memory', newest: {} },
      ],
    });
  });

  it('has times in UTC and exact sizes', async () => {
    await run('backup', 'memory');
    const [backup] = (await json('list')).stores[0].backups;
    expect(backup.created_at).toMatch(/Z$/);
    expect(backup.size_bytes).toBe(readFileSync(backup.path).length);
  });

  it('with --events is lines, the answer last', async () => {
    const { stdout, stderr } = await run('backup', 'memory', '--events');
    const events = lines(stdout).map((line) => JSON.parse(line));
    expect(events[0]).toMatchObject({ type: 'started', store: 'memory' });
    expect(events.at(-1)).toMatchObject({ type: 'result', result: { ok: true } });
    expect(stderr).toBe('');
  });
});

describe('a dry run', () => {
  it('changes nothing', async () => {
    expect((await run('backup', '--dry-run')).stdout).toContain('nothing was written');
    expect(existsSync(join(cwd, 'backups'))).toBe(false);
    await run('backup');
    const before = readdirSync(join(cwd, 'backups'));
    expect((await run('restore', 'memory@1', '--dry-run')).stdout).toContain('replaces');
    expect((await run('prune', '--keep-last', '1', '--dry-run')).exitCode).toBe(0);
    expect(readdirSync(join(cwd, 'backups'))).toEqual(before);
  });
});

describe('when one store of several fails', () => {
  it('the others are backed up, one error says why, and the exit code is 4', async () => {
    rmSync(join(cwd, 'memory'), { recursive: true });
    const { exitCode, stdout, stderr } = await run('backup');
    expect(exitCode).toBe(4);
    expect(lines(stdout).at(-1)).toMatch(/1 of 2 stores backed up .* exit 4$/);
    expect(lines(stderr).filter((line) => line.startsWith('error: memory: '))).toHaveLength(1);
  });

  it('says its one reason where it is the only one', async () => {
    rmSync(join(cwd, 'memory'), { recursive: true });
    expect((await run('backup', 'memory')).exitCode).toBe(3);
  });
});

describe('a damaged backup', () => {
  beforeEach(async () => {
    await run('backup', 'memory');
    const [archive = ''] = readdirSync(join(cwd, 'backups')).filter((name) => name.endsWith('.tar.gz'));
    const path = join(cwd, 'backups', archive);
    const bytes = readFileSync(path);
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(path, bytes);
  });

  it('is found by verify, with exit code 7', async () => {
    const { exitCode, stdout } = await run('verify');
    expect(exitCode).toBe(7);
    expect(stdout).toContain('DAMAGED');
    expect((await run('verify', '--quiet')).stdout).toContain('DAMAGED');
    expect((await run('list')).stdout).toContain('DAMAGED');
  });

  it('is not restored: exit code 4, and nothing was touched', async () => {
    writeFileSync(join(cwd, 'memory', 'note.md'), 'newer');
    const { exitCode, stdout, stderr } = await run('restore', 'memory@1', '--yes');
    expect({ exitCode, stdout }).toEqual({ exitCode: 4, stdout: '' });
    expect(stderr).toContain('is not a good backup');
    expect(readFileSync(join(cwd, 'memory', 'note.md'), 'utf8')).toBe('newer');
  });
});

describe('what is no archive at all', () => {
  it('is damage to verify, and a bad backup to restore', async () => {
    writeFileSync(join(cwd, 'letter.tar.gz'), 'Dear Sir or Madam');
    expect((await run('verify', 'letter.tar.gz')).exitCode).toBe(7);
    const restored = await run('restore', 'letter.tar.gz', '--yes');
    expect(restored.exitCode).toBe(4);
    expect(lines(restored.stderr).filter((line) => line.startsWith('error: '))).toHaveLength(1);
  });
});

describe('prune', () => {
  it('gives reasons, removes what no rule keeps, and never the newest', async () => {
    await run('backup', 'memory');
    await run('backup', 'memory');
    const plan = await run('prune', '--keep-last', '1', '--dry-run');
    expect(plan.stdout).toMatch(/keep .*newest/);
    expect(plan.stdout).toMatch(/remove .*no rule keeps it/);
    expect((await run('prune', '--keep-last', '1', '--yes')).stdout).toMatch(
      /1 of 2 backups moved to the trash/,
    );
    expect((await json('list')).stores[0].backups).toHaveLength(1);
  });

  it('keeps what is pinned, and what is in the trash can be brought back until it is emptied', async () => {
    for (const _ of [1, 2, 3]) await run('backup', 'memory');
    const stemsListed = async () => {
      const { stores } = await json('list');
      return stores[0].backups.map(({ stem }: { stem: string }) => stem);
    };
    const [, second, third] = await stemsListed();
    expect((await run('pin', 'memory@3', '--reason', 'before 1.5')).stdout).toContain(`pinned ${third}`);
    expect((await run('list')).stdout).toContain('pinned "before 1.5"');
    await run('prune', '--keep-last', '1', '--yes');
    expect(await stemsListed()).not.toContain(second);
    expect(await stemsListed()).toContain(third);
    expect((await run('undelete', second)).stdout).toContain(`${second} is back in the repository`);
    expect(await stemsListed()).toContain(second);

    await run('unpin', third);
    await run('prune', '--keep-last', '1', '--yes', '--empty-trash');
    expect(await stemsListed()).toHaveLength(1);
    const gone = await run('undelete', second);
    expect(gone).toMatchObject({ exitCode: 3, stderr: expect.stringContaining('the trash is empty') });
  });

  it('keeps everything where retention is turned off', async () => {
    await run('backup', 'memory');
    const { exitCode, stderr } = await run('prune', '--retention', '0', '--yes');
    expect(exitCode).toBe(0);
    expect(stderr).toContain('every backup is kept');
    await run('backup', 'memory');
    await run('prune', '--keep-last', '1', '--yes');
    const [trashed = ''] = readdirSync(join(cwd, 'backups', '.trash')).filter((name) =>
      name.endsWith('.json'),
    );
    await run('prune', '--retention', '0', '--empty-trash', '--yes');
    expect(existsSync(join(cwd, 'backups', '.trash', trashed))).toBe(false);
  });
});

describe('prune after a backup', () => {
  const listed = async (): Promise<number[]> => {
    const { stores } = await json('list');
    return stores.map(({ backups }: { backups: unknown[] }) => backups.length);
  };
  const configure = (top: string, ofMemory = '') =>
    writeFileSync(
      join(cwd, 'pkbackup.yaml'),
      `${top}\nstores:\n  events: { kind: sqlite, path: events.db }\n  memory: { kind: directory, path: memory${ofMemory} }\n`,
    );
  const keepsOne = 'retention: { keep_last: 1 }\nafter_backup: prune';

  it('takes the old backups of the stores that were backed up well, and of no others', async () => {
    for (const _ of [1, 2]) await run('backup');
    configure(keepsOne);
    rmSync(join(cwd, 'memory'), { recursive: true });
    const made = await run('backup');
    expect(made.exitCode).toBe(4);
    expect(lines(made.stdout).at(-1)).toMatch(
      /^1 of 3 backups moved to the trash, .* policy: pkbackup.yaml$/,
    );
    // One more stays in the set of the newest backup of the store that failed.
    expect(await listed()).toEqual([2, 2]);
  });

  it('is done where the flag or the config file says so, the flag first', async () => {
    for (const _ of [1, 2]) await run('backup');
    const asked = await pkbackup(['backup', '--prune'], { cwd, env: { KEEP_LAST: '2' } });
    expect(asked.stdout).toContain('policy: environment');
    expect(await listed()).toEqual([2, 2]);
    configure(keepsOne, ', retention: { keep_last: 2, keep_sets_whole: false }');
    await run('backup', '--no-prune');
    expect(await listed()).toEqual([3, 3]);
    const pruned = await json('backup', 'events');
    expect(pruned).toMatchObject({ ok: true, prune: { ok: true, policy_from: 'pkbackup.yaml' } });
    // The policy that a store has of its own keeps two, and the third is left as it is.
    expect(await listed()).toEqual([3, 3]);
    await run('prune', '--yes');
    expect(await listed()).toEqual([3, 2]);
    await run('backup', '--dry-run', '--prune');
    expect(await listed()).toEqual([3, 2]);
  });

  it('that fails is told, and does not make the backup fail', async () => {
    configure(keepsOne);
    const env = { RETENTION_DAYS: 'many' };
    const made = await pkbackup(['backup', '--json'], { cwd, env });
    expect(made.exitCode).toBe(0);
    expect(JSON.parse(made.stdout)).toMatchObject({
      ok: true,
      prune: { ok: false, error: { code: 'config' } },
    });
    expect(made.stderr).toContain('warning: the backups are made, but old ones were not pruned');
    const quiet = await pkbackup(['backup', '--quiet'], { cwd, env });
    expect(quiet).toMatchObject({
      exitCode: 0,
      stderr: expect.stringContaining('not pruned: RETENTION_DAYS'),
    });
  });
});

describe('--log-file', () => {
  it('has everything as JSON lines, beside what is shown', async () => {
    await run('backup', 'memory', '--log-file', 'logs/pkbackup.log');
    const logged = lines(readFileSync(join(cwd, 'logs', 'pkbackup.log'), 'utf8')).map((line) =>
      JSON.parse(line),
    );
    expect(logged.map(({ type }) => type)).toEqual(expect.arrayContaining(['started', 'ended']));
  });
});
