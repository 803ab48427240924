// neo4j-admin of this host. It runs as the owner of the data, told by settings of its own where that lies, and what it dumps
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { nameOf } from '../../archive/tar-format.ts';
import { scanTar, type TarPiece } from '../../archive/tar-scan.ts';
import { PkbackupError } from '../../errors.ts';
import { streamProgram } from '../../process.ts';
import { runHostProgram } from '../host-program.ts';
import type { HostContext } from '../store.ts';
import { adminFailed, isUnclean } from './admin.ts';
import type { Neo4jTarget } from './data.ts';
import { environmentOf, programOf } from './on-host.ts';
import type { Owner } from './reown.ts';

export interface HostAdmin {
  readonly target: Neo4jTarget;
  readonly environment: HostContext['environment'];
  readonly signal: AbortSignal;
  /** Of the data. Nothing of the server's home is run as root, unless its data is root's. */
  readonly owner: Owner;
}

const versionDeadlineMs = 120_000;

/** `5.26.0`; undefined where there is no neo4j-admin. */
export async function versionOnHost({ target, owner, ...context }: HostAdmin): Promise<string | undefined> {
  const { exitCode, stdout } = await runHostProgram([programOf(target, 'neo4j-admin'), '--version'], {
    environment: environmentOf(target, context),
    deadlineMs: versionDeadlineMs,
    owner,
    signal: context.signal,
  });
  if (exitCode !== 0) return undefined;
  return /\d+\.\d+(\.\d+)?/.exec(stdout.toString('utf8'))?.[0];
}

/** Of a server that does not run. Throws `failed`. */
export async function* dumpOnHost(
  admin: HostAdmin,
  dataDirectory: string,
  database: string,
): AsyncGenerator<Buffer> {
  yield* runAdmin(admin, dataDirectory, ['database', 'dump', '--to-stdout', database]);
}

/** All dumps of the content, into a directory that is empty. Returns the names of the databases. */
export async function loadOnHost(
  admin: HostAdmin,
  dataDirectory: string,
  content: AsyncIterable<Buffer>,
): Promise<string[]> {
  const databases: string[] = [];
  const pieces = scanTar(content);
  try {
    for (let next = await pieces.next(); !next.done; next = await pieces.next()) {
      if (next.value.type !== 'entry' || next.value.entry.type !== 'file') continue;
      const { entry } = next.value;
      const database = databaseIn(nameOf(entry));
      const args = ['database', 'load', '--from-stdin', '--overwrite-destination', database];
      const dump = dataOf(pieces, entry.size);
      for await (const _ of runAdmin(admin, dataDirectory, args, dump)) admin.signal.throwIfAborted();
      // It need not read to the end.
      for await (const _ of dump) admin.signal.throwIfAborted();
      databases.push(database);
    }
  } finally {
    await pieces.return(undefined);
  }
  return databases;
}

/** It becomes an argument. */
function databaseIn(name: string): string {
  const database = /^(?:\.\/)?([A-Za-z0-9][A-Za-z0-9.-]*)\.dump$/.exec(name)?.[1];
  if (database !== undefined) return database;
  throw new PkbackupError('bad_backup', `"${name}" is not the dump of a database`);
}

async function* dataOf(pieces: AsyncIterator<TarPiece>, sizeBytes: number): AsyncGenerator<Buffer> {
  for (let missing = sizeBytes; missing > 0; ) {
    const { value, done } = await pieces.next();
    if (done || value.type !== 'data') throw new PkbackupError('bad_backup', 'a dump was cut off');
    missing -= value.bytes.length;
    yield value.bytes;
  }
}

async function* runAdmin(
  admin: HostAdmin,
  dataDirectory: string,
  args: readonly string[],
  stdin?: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer> {
  const { target, signal } = admin;
  const { owner } = admin;
  const settings = await makeSettings(dataDirectory, owner);
  try {
    const { stdout, ended } = streamProgram([programOf(target, 'neo4j-admin'), ...args], {
      environment: { ...environmentOf(target, admin), NEO4J_CONF: settings },
      cwd: settings,
      signal,
      stdin,
      owner,
    });
    yield* stdout;
    const { how, exitCode = 1, stderr, message } = await ended;
    if (exitCode === 0) return;
    if (how === 'not-started') throw noAdmin(message);
    const result = { exitCode, stdout: '', stderr: stderr || message };
    throw isUnclean(result) ? notClosed() : adminFailed(args[1] ?? '', result);
  } finally {
    await rm(settings, { recursive: true, force: true });
  }
}

/** Those of the server may say another place, and hold what only it needs. */
async function makeSettings(dataDirectory: string, owner: Owner): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'pkbackup-neo4j-'));
  const lines = [
    `server.directories.data=${dataDirectory}`,
    `server.directories.transaction.logs.root=${join(dataDirectory, 'transactions')}`,
  ];
  const file = join(directory, 'neo4j.conf');
  await writeFile(file, `${lines.join('\n')}\n`, { mode: 0o600 });
  if (process.getuid?.() === 0) for (const path of [file, directory]) await chown(path, owner.uid, owner.gid);
  return directory;
}

function noAdmin(message: string): PkbackupError {
  return new PkbackupError('failed', `neo4j-admin ${message}`, {
    hint: 'set home of this store to the home of Neo4j on this host (with bin/neo4j-admin), or put it on the PATH',
  });
}

function notClosed(): PkbackupError {
  return new PkbackupError(
    'failed',
    'the server was killed before it had closed its files, which cannot be dumped',
    {
      hint: 'start it, so that it recovers; with method "volume" it is saved as it is',
    },
  );
}
