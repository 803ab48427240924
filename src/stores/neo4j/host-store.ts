// A Neo4j on this host, outside Docker: looked at, and read while it is stopped.
import { readdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { type FileToPack, packFiles } from '../../archive/pack-files.ts';
import { packTree } from '../../archive/pack-tree.ts';
import { encodeEntry, endOfArchive, padding } from '../../archive/tar-format.ts';
import { PkbackupError, systemCodeOf } from '../../errors.ts';
import { countTree } from '../count-tree.ts';
import { isWorkName } from '../host-swap.ts';
import { ownPathsIn } from '../own-repository.ts';
import { PackNotes } from '../pack-notes.ts';
import type { Skip } from '../patterns.ts';
import { readSpooled, writeSpooled } from '../spooled-file.ts';
import type { Look, Snapshot, StoreContext } from '../store.ts';
import type { Neo4jTarget } from './data.ts';
import { dumpOnHost, type HostAdmin, versionOnHost } from './host-admin.ts';
import { askServer, type Stored } from './look.ts';
import { dataDirectoryOf, isRunning, logDirectoryOf, serverOnHost } from './on-host.ts';
import { StoreCounter } from './records.ts';
import { ownerOf } from './reown.ts';
import { keepTrue, keepTruePatterns } from './samples.ts';
import type { ServerFacts } from './server.ts';

export async function lookOnHost(target: Neo4jTarget, context: StoreContext): Promise<Look> {
  const directory = await dataDirectoryOf(target);
  const names = await namesIn(directory);
  const stored = (await isRunning(target))
    ? await askServer(await serverOnHost(target, context), (facts) => refuseOther(facts, directory), context)
    : await lookAtFiles(target, directory, context);
  const { bytes } = await countTree(directory, await skipIn(directory, context), context.signal);
  const { version, databases, samples, counts, isEmpty } = stored;
  return {
    source: { path: directory, ...(target.image === undefined ? {} : { image: target.image }) },
    volumes: [],
    counts,
    isEmpty: isEmpty || names.length === 0,
    estimatedBytes: bytes,
    ...(version === undefined ? {} : { version }),
    ...(databases === undefined ? {} : { databases }),
    ...(samples === undefined ? {} : { samples }),
  };
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR'].includes(systemCodeOf(error) ?? '')) throw error;
    throw new PkbackupError('not_found', `the data directory "${directory}" is not there`, {
      hint: 'check home of this store, or say with data_path where its server keeps its data',
    });
  }
}

/** Of a server that does not run. */
async function lookAtFiles(target: Neo4jTarget, directory: string, context: StoreContext): Promise<Stored> {
  const logs = await logDirectoryOf(target);
  if (logs !== undefined && !isWithin(await resolved(logs), directory)) throw logsOutside(logs, directory);
  const databases = await databasesIn(directory);
  if (databases.length === 0) return { counts: {}, isEmpty: true };
  const version = await versionOnHost(await adminOf(target, directory, context));
  return { counts: {}, isEmpty: false, version, databases };
}

async function databasesIn(directory: string): Promise<string[]> {
  const entries = await readdir(join(directory, 'databases'), { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

async function adminOf(target: Neo4jTarget, directory: string, context: StoreContext): Promise<HostAdmin> {
  const { environment, signal } = context;
  return { target, environment, signal, owner: await ownerOf(directory) };
}

const resolved = (path: string): Promise<string> => realpath(path).catch(() => path);
const isWithin = (path: string, directory: string): boolean => path.startsWith(`${directory}/`);

/** What the server says, its links resolved, is what counts. */
async function refuseOther({ dataDirectory, logDirectory }: ServerFacts, directory: string): Promise<void> {
  const data = await resolved(dataDirectory);
  if (data !== directory) {
    const message = `the server keeps its data in "${data}", expected "${directory}"`;
    throw new PkbackupError('config', message, {
      hint: `set data_path to "${data}", or home to that of this server`,
    });
  }
  const isInside = isWithin(logDirectory, dataDirectory) || isWithin(await resolved(logDirectory), directory);
  if (!isInside) throw logsOutside(logDirectory, directory);
}

function logsOutside(logs: string, directory: string): PkbackupError {
  return new PkbackupError(
    'backup_failed',
    `the server keeps its transaction logs in "${logs}", outside of its data in "${directory}"`,
    {
      hint: 'take server.directories.transaction.logs.root out of its settings; one without the other is no backup',
    },
  );
}

/** What is pkbackup's own. */
async function skipIn(directory: string, context: StoreContext): Promise<Skip> {
  const own = await ownPathsIn(directory, context);
  return (path) => own.includes(path) || isWorkName(path.slice(path.lastIndexOf('/') + 1));
}

export async function snapshotOnHost(
  target: Neo4jTarget,
  look: Look,
  context: StoreContext,
): Promise<Snapshot> {
  const directory = await dataDirectoryOf(target);
  if (await isRunning(target)) throw stillRuns(directory);
  return target.method === 'dump'
    ? snapshotDumps(target, directory, look, context)
    : snapshotFiles(directory, look, context);
}

function stillRuns(directory: string): PkbackupError {
  return new PkbackupError('backup_failed', `a server runs on "${directory}": a copy of it would be torn`, {
    hint: 'see what has started it, and back up again',
  });
}

async function snapshotFiles(directory: string, look: Look, context: StoreContext): Promise<Snapshot> {
  const counter = new StoreCounter();
  const notes = new PackNotes();
  return {
    pinnedAt: new Date(),
    tar: counter.tap(
      packTree(directory, {
        skip: await skipIn(directory, context),
        signal: context.signal,
        onChanged: (name, what) => notes.add(name, what),
      }),
    ),
    get counts() {
      return counter.counts() ?? {};
    },
    get samples() {
      return keepTrue(look.samples, counter);
    },
    notes: () => notes.lines(),
  };
}

interface Dump {
  readonly database: string;
  /** Where it waits, lightly compressed. */
  readonly path: string;
  sizeBytes: number;
}

async function snapshotDumps(
  target: Neo4jTarget,
  directory: string,
  look: Look,
  context: StoreContext,
): Promise<Snapshot> {
  const admin = await adminOf(target, directory, context);
  const pinnedAt = new Date();
  const databases = await databasesIn(directory);
  const dumps: Dump[] = [];
  for (const [index, database] of databases.entries()) {
    const dump = { database, path: join(context.scratchDir, `${index}.dump`), sizeBytes: 0 };
    await writeSpooled(dump.path, measured(dumpOnHost(admin, directory, database), dump), context.signal);
    dumps.push(dump);
  }
  const records = new StoreCounter();
  for await (const _ of records.tap(recordsOf(directory, databases, context)))
    context.signal.throwIfAborted();
  return {
    pinnedAt,
    tar: tarOf(dumps, pinnedAt),
    counts: records.counts() ?? {},
    samples: keepTruePatterns(look.samples, records),
  };
}

async function* measured(chunks: AsyncIterable<Buffer>, dump: Dump): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    dump.sizeBytes += chunk.length;
    yield chunk;
  }
}

/** A dump does not say how many there are. */
function recordsOf(
  directory: string,
  databases: readonly string[],
  { signal }: StoreContext,
): AsyncIterable<Buffer> {
  const files = databases.flatMap((database): FileToPack[] =>
    StoreCounter.files.map((file) => {
      const name = `databases/${database}/${file}`;
      return { name, path: join(directory, name) };
    }),
  );
  return packFiles(files, { signal });
}

async function* tarOf(dumps: readonly Dump[], madeAt: Date): AsyncGenerator<Buffer> {
  const mtime = Math.floor(madeAt.getTime() / 1000);
  for (const { database, path, sizeBytes } of dumps) {
    const name = Buffer.from(`./${database}.dump`);
    yield encodeEntry({ path: name, type: 'file', size: sizeBytes, mode: 0o600, uid: 0, gid: 0, mtime });
    yield* readSpooled(path, sizeBytes);
    yield padding(sizeBytes);
  }
  yield endOfArchive;
}
