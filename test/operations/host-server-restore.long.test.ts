// A restore of a server on this host, killed at every step of its journal and at every change to the data: the next command
// leaves the old data or the new, wholly, and the server runs on it.
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { execa } from 'execa';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { cleanEnvironment, makeDirectory, pkbackup, shim } from '../cli/program.ts';
import { neo4jVolume, writeFiles } from '../legacy/made-files.ts';

const program = join(import.meta.dirname, 'host-server.mjs');
const faultOf = (name: string) => pathToFileURL(join(import.meta.dirname, '../faults', name)).href;
const file = 'neo4j-backup-20251201-020000.tar.gz';

/** Answers as the client of a server whose databases are online. */
const cypherShell = `#!/bin/sh
case "$*" in
  *'SHOW DATABASES'*) cat <<E
name, requestedStatus, currentStatus, statusMessage
"neo4j", "online", "online", ""
"system", "online", "online", ""
name, value
"server.directories.data", "$NEO4J_HOME/data"
"server.directories.transaction.logs.root", "$NEO4J_HOME/data/transactions"
version, edition
"5.26.0", "community"
E
    ;;
  *) printf 'nodes\\n5\\nrelationships\\n3\\n' ;;
esac
`;

let cwd: string;
let home: string;

beforeEach(async () => {
  cwd = makeDirectory();
  home = join(cwd, 'neo4j');
  for (const name of ['bin', 'run']) mkdirSync(join(home, name), { recursive: true });
  writeFileSync(join(home, 'bin', 'cypher-shell'), cypherShell);
  chmodSync(join(home, 'bin', 'cypher-shell'), 0o755);
  const old = {
    'databases/neo4j/neostore': 'old',
    'databases/system/neostore': 'old',
    'transactions/neo4j/log': 'old',
  };
  writeFiles(join(home, 'data'), old);
  writeFiles(join(cwd, 'backups'), { [file]: neo4jVolume() });
  const command = (what: string) => JSON.stringify([process.execPath, program, what, home]);
  const store = `{ kind: neo4j, home: neo4j, stop: ${command('stop')}, start: ${command('start')} }`;
  writeFileSync(join(cwd, 'pkbackup.yaml'), `stores:\n  graph: ${store}\n`);
  await execa(process.execPath, [program, 'start', home]);
});

afterEach(() => {
  const pid = pidNow();
  if (pid !== undefined) process.kill(pid, 'SIGKILL');
});

const pidFile = () => join(home, 'run', 'neo4j.pid');
const pidNow = () => (existsSync(pidFile()) ? Number(readFileSync(pidFile(), 'utf8')) : undefined);
const restoring = ['restore', file, '--store', 'graph', '--yes'];

/** Throws where it is neither. */
function dataNow(): 'old' | 'new' {
  const isOld = readFileSync(join(home, 'data/databases/neo4j/neostore'), 'utf8') === 'old';
  const names = readdirSync(join(home, 'data/transactions/neo4j'));
  expect(names).toEqual([isOld ? 'log' : 'neostore.transaction.db.0']);
  return isOld ? 'old' : 'new';
}

it('is done where nobody kills it', async () => {
  const { exitCode, stderr } = await pkbackup(restoring, { cwd });
  expect(exitCode, stderr).toBe(0);
  expect(dataNow()).toBe('new');
  expect(pidNow()).toBeDefined();
});

const kills = [
  ...[1, 2, 3, 4].map((at) => ({
    what: `note ${at} of its journal`,
    hook: 'kill-at-journal.mjs',
    env: { PKBACKUP_TEST_KILL_AT_NOTE: String(at) },
    becomes: at < 3 ? 'old' : 'new',
  })),
  ...[1, 2, 3, 4, 5].map((at) => ({
    what: `change ${at} of the data`,
    hook: 'kill-at-file-operation.mjs',
    env: { PKBACKUP_TEST_KILL_AT: String(at) },
    becomes: 'old',
  })),
];

it.each(kills)(
  'is settled by the next command where it was killed at $what',
  async ({ hook, env, becomes }) => {
    const below = { PKBACKUP_TEST_KILL_BELOW: join(home, 'data') };
    const killed = await execa(process.execPath, ['--import', faultOf(hook), shim, ...restoring], {
      cwd,
      env: { ...cleanEnvironment(), ...below, ...env },
      extendEnv: false,
      reject: false,
    });
    expect(killed.signal, killed.stderr).toBe('SIGKILL');
    await sleep(200);
    const { exitCode, stderr } = await pkbackup(['list'], { cwd });
    expect(exitCode, stderr).toBe(0);
    expect(dataNow()).toBe(becomes);
    expect(pidNow()).toBeDefined();
    expect(readFileSync(join(home, 'told'), 'utf8')).not.toContain('half');
    expect(readdirSync(join(cwd, 'backups', '.pkbackup', 'journal'))).toEqual([]);
    expect(readdirSync(home).filter((name) => name.includes('pkbackup'))).toEqual([]);
  },
);
