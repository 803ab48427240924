// npm run demo: pkbackup as a person would use it, on a database that is written to and a directory, both destroyed and
// brought back. Needs nothing but Node; leaves its files for people to look at. Ends with 1 where a promise is not kept.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import process from 'node:process';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const program = join(root, 'bin', 'pkbackup.js');
const home = fs.mkdtempSync(join(tmpdir(), 'pkbackup-demo-'));
const database = join(home, 'data', 'events.db');
const memory = join(home, 'memory');
const config = join(home, 'pkbackup.yaml');
const rows = 30_000;
const files = 400;

const startedMs = Date.now();
try {
  await demo();
} catch (error) {
  say(`\nthe demo FAILED: ${error instanceof Error ? error.message : error}`);
  say(`its files are in ${home}`);
  process.exit(1);
}

async function demo(): Promise<void> {
  title(`a database with ${rows} events and a full-text index, and a directory with ${files} files`);
  makeDatabase();
  makeMemory();
  fs.writeFileSync(config, configText());
  say(`$ cat ${config}\n${configText()}`);
  const filesBefore = printsOf(memory);

  title('an application starts to write to the database, and never pauses');
  const writer = startWriter();
  await writer.commits(200);
  say(`${writer.acknowledged.length} commits so far`);

  title('back up both, verify what is inside');
  await pkbackup('backup');
  await writer.commits(50);
  await pkbackup('list');
  await pkbackup('verify', '--level', 'content');
  await writer.stop();
  say(`the application committed ${writer.acknowledged.length} events in all, and is stopped now`);
  const pinnedMs = pinnedAtOf('events');

  title('disaster: database and directory are gone');
  fs.rmSync(dirname(database), { recursive: true });
  fs.rmSync(memory, { recursive: true });
  say(`$ ls ${home}\n${fs.readdirSync(home).join('  ')}\n`);

  title('restore');
  await pkbackup('restore', 'events@latest', '--yes');
  await pkbackup('restore', 'memory@latest', '--yes');
  proveDatabase(writer.acknowledged.filter(({ atMs }) => atMs < pinnedMs).at(-1)?.id ?? rows);
  proveMemory(filesBefore);

  title('a second backup, then remove the first (only once the second is verified would it go)');
  await pkbackup('backup');
  await pkbackup('verify', '--level', 'content');
  await pkbackup('prune', '--keep-last', '1', '--dry-run');
  await pkbackup('prune', '--keep-last', '1', '--yes');
  await pkbackup('list');
  const left = fs.readdirSync(join(home, 'backups')).filter((name) => name.endsWith('.tar.gz'));
  expect(left.length === 2, `one backup of each store is left (${left.join(', ')})`);
  sayGoodbye();
}

function makeDatabase(): void {
  fs.mkdirSync(dirname(database));
  const made = new DatabaseSync(database);
  made.exec(`PRAGMA journal_mode = wal;
    CREATE TABLE events (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, body TEXT NOT NULL);
    CREATE INDEX events_at ON events (at);
    CREATE VIRTUAL TABLE search USING fts5(body);
    BEGIN`);
  const event = made.prepare('INSERT INTO events (at, body) VALUES (?, ?)');
  for (let count = 1; count <= rows; count += 1)
    event.run(count, `event ${count} of the demo, about topic ${count % 97}`);
  made.exec('INSERT INTO search (rowid, body) SELECT id, body FROM events; COMMIT');
  made.close();
}

function makeMemory(): void {
  for (let count = 0; count < files; count += 1) {
    const path = join(memory, `topic-${count % 20}`, `note-${count}.json`);
    fs.mkdirSync(dirname(path), { recursive: true });
    fs.writeFileSync(
      path,
      JSON.stringify({ count, text: `what I know about ${count}. `.repeat(count % 50) }),
    );
  }
  fs.mkdirSync(join(memory, 'empty'));
  fs.mkdirSync(join(memory, 'logs'));
  fs.writeFileSync(join(memory, 'logs', 'today.log'), 'not worth saving');
}

function configText(): string {
  return `repository: ./backups
stores:
  events: { kind: sqlite, path: ./data/events.db }
  memory: { kind: directory, path: ./memory, exclude: ["logs/", "*.tmp"] }
`;
}

function startWriter() {
  const acknowledged: { id: number; atMs: number }[] = [];
  const child = spawn(process.execPath, [join(root, 'scripts', 'demo-writer.ts'), database], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = `${rest}${text}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const [id = 0, atMs = 0] = line.split(' ').map(Number);
      acknowledged.push({ id, atMs });
    }
  });
  process.on('exit', () => child.kill('SIGKILL'));
  return {
    acknowledged,
    async commits(count: number): Promise<void> {
      const wanted = acknowledged.length + count;
      while (acknowledged.length < wanted) {
        if (child.exitCode !== null) throw new Error('the application of the demo ended by itself');
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    async stop(): Promise<void> {
      child.kill('SIGKILL');
      await once(child, 'close');
    },
  };
}

/** Runs the program on this terminal, and shows the command as one would type it. */
async function pkbackup(...args: string[]): Promise<void> {
  say(`$ pkbackup ${args.join(' ')}`);
  // Beside this process, not instead of it: what the application says meanwhile has to be read.
  const child = spawn(process.execPath, [program, ...args], {
    cwd: home,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`pkbackup ${args.join(' ')} ended with exit code ${code}`);
  say('');
}

/** The moment that the newest backup of a store shows. */
function pinnedAtOf(store: string): number {
  const repository = join(home, 'backups');
  const name =
    fs.readdirSync(repository).find((each) => each.startsWith(`${store}-`) && each.endsWith('.json')) ?? '';
  return Date.parse(JSON.parse(fs.readFileSync(join(repository, name), 'utf8')).created_at);
}

function proveDatabase(lastAcknowledged: number): void {
  const restored = new DatabaseSync(database, { readOnly: true });
  const one = (sql: string) => Object.values(restored.prepare(sql).get() ?? {})[0];
  const last = Number(one('SELECT max(id) FROM events'));
  expect(one('PRAGMA integrity_check') === 'ok', 'the restored database passes integrity_check');
  expect(one('SELECT count(*) FROM events') === last, `it holds events 1 to ${last} without a gap`);
  expect(
    last >= lastAcknowledged,
    `the last event that was acknowledged before the snapshot, ${lastAcknowledged}, is among them`,
  );
  const found = Number(one("SELECT count(*) FROM search WHERE search MATCH 'topic AND 42'"));
  expect(found > 0, `its full-text index answers (${found} events about topic 42)`);
  restored.close();
}

function proveMemory(before: Map<string, string>): void {
  const now = printsOf(memory);
  const isSame = now.size === before.size && [...before].every(([name, print]) => now.get(name) === print);
  expect(
    isSame,
    `all ${files} files of the directory are back, mode and time included, and so is the empty one`,
  );
  expect(!fs.existsSync(join(memory, 'logs')), 'what the config leaves out (logs/) is not there');
}

/** Content, mode and time of everything but what the config leaves out. */
function printsOf(directory: string): Map<string, string> {
  const names = fs.readdirSync(directory, { recursive: true, encoding: 'utf8' });
  const saved = names.filter((name) => !name.startsWith('logs'));
  return new Map(saved.map((name) => [name, printOf(join(directory, name))]));
}

function printOf(path: string): string {
  const { mode, mtimeMs } = fs.statSync(path);
  const isFile = fs.statSync(path).isFile();
  const content = isFile ? createHash('sha256').update(fs.readFileSync(path)).digest('hex') : 'directory';
  return `${content} ${mode} ${Math.round(mtimeMs)}`;
}

function expect(isKept: boolean, promise: string): void {
  say(`${isKept ? 'good' : 'WRONG'}  ${promise}`);
  if (!isKept) throw new Error(`a promise is not kept: ${promise}`);
}

function sayGoodbye(): void {
  const command = `node ${relative(process.cwd(), program)}`;
  say(`
That was pkbackup, in ${((Date.now() - startedMs) / 1000).toFixed(1)} s. Everything is in ${home}; remove it when you have seen enough.

The backups are plain files. Without pkbackup:
  cd ${join(home, 'backups')}
  sha256sum -c *.sha256
  tar tvzf memory-backup-*.tar.gz

Try next:
  ${command} list --config ${config}
  ${command} restore memory@latest --to ${join(home, 'elsewhere')} --config ${config}
  damage a file in ${join(home, 'backups')}, then:  ${command} verify --config ${config}
  ${command} --help
`);
}

function title(text: string): void {
  say(`\n== ${text}\n`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
