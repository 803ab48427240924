// Hooks and the programs that hold clients, in the config file of the real program.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import { lines, makeDirectory, pkbackup } from './program.ts';

/** Writes down its name, which is its first argument, and does what its others say. */
const script = `import { appendFileSync, existsSync } from 'node:fs';
const [name, what, value] = process.argv.slice(2);
const { PKBACKUP_STORE: store = '-', PKBACKUP_OUTCOME: outcome = '-', PKBACKUP_CLIENTS: clients } = process.env;
appendFileSync('told', [name, clients ?? store, outcome].join(' ') + '\\n');
if (what === 'exit') process.exitCode = Number(value);
if (what === 'hang') setInterval(() => {}, 1000);
if (what === 'kill') process.kill(process.ppid, 'SIGKILL');
if (what === 'once' && !existsSync('again')) {
  appendFileSync('again', '');
  process.exitCode = 1;
}
`;

let cwd: string;

beforeEach(() => {
  cwd = makeDirectory({ 'told.mjs': script });
  mkdirSync(join(cwd, 'memory'));
  writeFileSync(join(cwd, 'memory', 'note.md'), 'remember');
  mkdirSync(join(cwd, 'other'));
  writeFileSync(join(cwd, 'other', 'note.md'), 'remember');
});

const command = (...args: string[]) => JSON.stringify([process.execPath, './told.mjs', ...args]);

function configure(top: string, ofMemory = ''): void {
  const stores = `  memory: { kind: directory, path: memory${ofMemory} }\n  other: { kind: directory, path: other }`;
  writeFileSync(join(cwd, 'pkbackup.yaml'), `${top}\nstores:\n${stores}\n`);
}

const run = (...args: string[]) => pkbackup(args, { cwd });
const told = () => (existsSync(join(cwd, 'told')) ? lines(readFileSync(join(cwd, 'told'), 'utf8')) : []);

const ofRun = (before = command('before')) =>
  `hooks: { before: ${before}, after: ${command('after')}, on_error: ${command('on_error')} }`;
const ofStore = (before = command('m-before')) =>
  `, hooks: { before: ${before}, after: ${command('m-after')}, on_error: ${command('m-on_error')} }`;

describe('hooks', () => {
  it('run around the run and around their store; a dry run has none', async () => {
    configure(ofRun(), ofStore());
    expect((await run('backup', '--dry-run')).exitCode).toBe(0);
    expect(told()).toEqual([]);
    expect((await run('backup')).exitCode).toBe(0);
    expect(told()).toEqual(['before - -', 'm-before memory -', 'm-after memory success', 'after - success']);
  });

  it('that fail before a store fail that store alone', async () => {
    configure(ofRun(), ofStore(command('m-before', 'exit', '1')));
    const { exitCode, stdout, stderr } = await run('backup');
    expect(exitCode).toBe(4);
    expect(stdout).toContain('1 of 2 stores backed up');
    expect(stderr).toContain('error: memory: the before hook');
    expect(told()).toEqual([
      'before - -',
      'm-before memory -',
      'm-on_error memory failure',
      'm-after memory failure',
      'on_error - failure',
      'after - failure',
    ]);
  });

  it('that fail before the run fail it before anything is touched', async () => {
    configure(ofRun(command('before', 'exit', '1')), ofStore());
    const { exitCode, stderr } = await run('backup');
    expect(exitCode).toBe(4);
    expect(stderr).toMatch(/^error: the before hook .* failed: exit code 1$/m);
    expect(told()).toEqual(['before - -', 'on_error - failure', 'after - failure']);
    expect(existsSync(join(cwd, 'backups'))).toBe(false);
  });

  it('that end with 75 skip softly: a store, or the run', async () => {
    configure(ofRun(), ofStore(command('m-before', 'exit', '75')));
    const some = await run('backup');
    expect(some.exitCode).toBe(0);
    expect(some.stdout).toContain('1 of 2 stores backed up, 1 skipped');
    expect(told()).toContain('m-after memory skipped');
    expect(told()).not.toContain('m-on_error memory failure');
    configure(ofRun(command('before', 'exit', '75')));
    const none = await run('backup', '--json');
    expect(none.exitCode).toBe(0);
    expect(JSON.parse(none.stdout)).toEqual({ ok: true, skipped: true, stores: [] });
    expect(told().at(-1)).toBe('after - skipped');
  });

  it('that fail afterwards are a warning, and the exit code is that of the backup', async () => {
    configure(`hooks: { after: ${command('after', 'exit', '9')} }`);
    const { exitCode, stderr } = await run('backup', '--quiet');
    expect(exitCode).toBe(0);
    expect(stderr).toMatch(/^warning: the after hook .* failed: exit code 9$/m);
  });

  it('have a deadline', async () => {
    const hanging = `{ run: ${command('before', 'hang')}, deadline: 1s }`;
    configure(`hooks: { before: ${hanging} }`);
    const { exitCode, stderr } = await run('backup');
    expect(exitCode).toBe(4);
    expect(stderr).toContain('was ended after 1 s');
  });

  it('of the wrong form are said with their line', async () => {
    configure('hooks: { befor: [x], after: "echo $HOME", on_error: { run: [], dedline: 1s } }');
    const { exitCode, stderr } = await run('backup');
    expect(exitCode).toBe(78);
    expect(stderr).toContain('pkbackup.yaml:1: hooks.befor: unknown key, did you mean "before"?');
    expect(stderr).toContain('pkbackup.yaml:1: hooks.after: expected a list');
    expect(stderr).toContain('pkbackup.yaml:1: hooks.on_error.run: expected something that is not empty');
    expect(stderr).toContain('hooks.on_error.dedline: unknown key, did you mean "deadline"?');
    configure(`clients_hold: ${command('hold')}`);
    expect((await run('backup')).stderr).toContain(
      'pkbackup.yaml:1: clients_hold: needs clients_release beside it',
    );
  });
});

describe('clients outside Docker', () => {
  const clients = (hold: string[] = [], release: string[] = []) =>
    `consistent: true\nclients_hold: ${command('hold', ...hold)}\nclients_release: ${command('release', ...release)}`;
  const journal = () => readdirSync(join(cwd, 'backups', '.pkbackup', 'journal'));

  it('are held while all stores are pinned, without Docker, and let go', async () => {
    configure(clients());
    const { exitCode, stdout, stderr } = await run('backup', '--json');
    expect(exitCode, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, consistent: true, held_ms: expect.any(Number) });
    expect(told()).toEqual(['hold hold -', 'release release -']);
    expect(journal()).toEqual([]);
  });

  it('are let go also where holding them fails or hangs: nothing is backed up then', async () => {
    configure(clients(['exit', '1']));
    const failed = await run('backup');
    expect(failed.exitCode).toBe(4);
    expect(failed.stderr).toMatch(/error: memory: clients_hold .* failed: exit code 1/);
    expect(told()).toEqual(['hold hold -', 'release release -']);
    configure(clients().replace(command('hold'), `{ run: ${command('hold', 'hang')}, deadline: 1s }`));
    expect((await run('backup')).stderr).toContain('was ended after 1 s');
    expect(told().slice(2)).toEqual(['hold hold -', 'release release -']);
    expect(journal()).toEqual([]);
  });

  it('are asked to go on until they do', async () => {
    configure(clients([], ['once']));
    expect((await run('backup')).exitCode).toBe(0);
    expect(told()).toEqual(['hold hold -', 'release release -', 'release release -']);
  });

  it('that do not go on are an error, and the next command tries again', async () => {
    configure(clients([], ['exit', '1']));
    const { exitCode, stderr } = await run('backup');
    expect(exitCode).not.toBe(0);
    expect(stderr).toMatch(/error: clients_release .* failed: exit code 1/);
    const tries = told().length;
    configure(clients());
    await run('list');
    expect(told().length).toBeGreaterThan(tries);
    expect(journal()).toEqual([]);
  });

  it('go on when pkbackup is killed while they are held', async () => {
    configure(clients(['kill']));
    await run('backup');
    for (let tries = 0; told().length < 2 && tries < 100; tries++) await sleep(100);
    expect(told()).toEqual(['hold hold -', 'release release -']);
  });

  it('go on with the next command where nobody could let them go, by the config of that moment', async () => {
    configure(clients());
    await run('backup');
    rmSync(join(cwd, 'told'));
    const owner = { host: (await import('node:os')).hostname(), pid: 2 ** 22 + 1, since: Date.now() };
    // What else it says is not listened to.
    const marker = { type: 'pkbackup-clients', version: 1, owner, release: { argv: ['touch', 'hacked'] } };
    const path = join(cwd, 'backups', '.pkbackup', 'journal', 'clients-1-00000000.clients.json');
    writeFileSync(path, JSON.stringify(marker), { mode: 0o600 });
    configure('');
    const without = await run('list');
    expect(without.stderr).toContain('no clients_release is configured');
    configure(clients());
    expect((await run('recover', '--dry-run')).stdout).toContain('would let go the clients');
    const { stderr } = await run('list');
    expect(stderr).toContain('let go the clients that a run that crashed held');
    expect(told()).toEqual(['release release -']);
    expect(existsSync(path)).toBe(false);
    expect(existsSync(join(cwd, 'hacked'))).toBe(false);
  });
});
