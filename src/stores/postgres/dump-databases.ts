// Databases to a tar: globals.sql, then one custom-format dump each. All are pinned at one moment, then dumped one after
// another. Each waits in the scratch directory until its size is known; the dump itself is not compressed (-Z0), because the
// archive's own compression does that on all cores.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeEntry, endOfArchive, padding } from '../../archive/tar-format.ts';
import { messageOf, PkbackupError } from '../../errors.ts';
import type { Counts } from '../../words.ts';
import { readSpooled, writeSpooled } from '../spooled-file.ts';
import type { Sample, Snapshot, StoreContext } from '../store.ts';
import { endSessions } from './cluster.ts';
import { addDump, noCounts } from './counts.ts';
import { DumpReader } from './dump-format.ts';
import { fileNames } from './file-names.ts';
import { assertWholeGlobals, globalsName } from './globals.ts';
import { openSession, type Pin, type PinSession, pin } from './pin.ts';
import { isEnough, takeSamples } from './samples.ts';
import type { Server } from './server.ts';
import { conninfo, literal } from './sql.ts';

export interface DatabaseToDump {
  /** As the backup knows it. */
  readonly name: string;
  /** As the server has it now: another name where a restore has set it aside. */
  readonly present: string;
}

/** Each is a session; those beyond are pinned when their turn comes. */
const pinnedAtOnce = 8;
const attempts = 3;

/** Pins; the tar dumps when it is read. */
export async function dumpDatabases(
  server: Server,
  databases: readonly DatabaseToDump[],
  admin: string,
  context: StoreContext,
): Promise<Snapshot> {
  const pins = new Map<string, Pin>();
  const sessions = new Map<string, PinSession>();
  const dispose = async () => {
    const tidy = server.uninterrupted();
    await Promise.allSettled([...pins.values()].map((one) => one.release()));
    // pg_dump is not reached by an abort, only its session is.
    await endSessions(tidy, admin, `application_name = ${literal(server.applicationName)}`);
    await Promise.allSettled([...sessions.values()].map((one) => one.close()));
  };
  // Where others wait for it, one moment for all is worth the sessions.
  const atOnce = context.onPinned ? databases.length : pinnedAtOnce;
  try {
    // Settled, so that a clean-up meets no session that is only coming up.
    const opened = await Promise.allSettled(
      databases.slice(0, atOnce).map(async ({ present }) => {
        sessions.set(present, await openSession(server, present));
      }),
    );
    for (const one of opened) if (one.status === 'rejected') throw one.reason;
    await context.beforePin?.();
    await Promise.all(
      [...sessions].map(async ([present, session]) => {
        pins.set(present, await session.pin(admin));
      }),
    );
    context.onPinned?.();
    await context.afterPin?.();
    const pinnedAt = earliest(pins) ?? new Date();
    const globals = await dumpGlobals(server, admin);
    const counts: Counts = noCounts();
    const notes: string[] = [];
    const samples: Sample[] = [];
    const dump = new DatabaseDumps(server, admin, context, { pins, counts, notes, samples, pinnedAt });
    return { pinnedAt, tar: dump.tar(globals, databases), counts, samples, notes: () => notes, dispose };
  } catch (error) {
    await dispose().catch(() => undefined);
    throw error;
  }
}

function earliest(pins: ReadonlyMap<string, Pin>): Date | undefined {
  return [...pins.values()].map(({ pinnedAt }) => pinnedAt).sort((a, b) => a.getTime() - b.getTime())[0];
}

async function dumpGlobals(server: Server, admin: string): Promise<Buffer> {
  const parts: Buffer[] = [];
  const command = [
    'pg_dumpall',
    '--globals-only',
    '--no-password',
    `--username=${server.user}`,
    `--dbname=${conninfo(admin)}`,
  ] as const;
  for await (const chunk of server.stream(command)) parts.push(chunk);
  const globals = Buffer.concat(parts);
  assertWholeGlobals(globals.toString('utf8'));
  return globals;
}

interface Progress {
  readonly pins: Map<string, Pin>;
  /** Filled while the tar is read. */
  readonly counts: Counts;
  readonly notes: string[];
  readonly samples: Sample[];
  readonly pinnedAt: Date;
}

class DatabaseDumps {
  readonly #server: Server;
  readonly #admin: string;
  readonly #context: StoreContext;
  readonly #progress: Progress;

  constructor(server: Server, admin: string, context: StoreContext, progress: Progress) {
    this.#server = server;
    this.#admin = admin;
    this.#context = context;
    this.#progress = progress;
  }

  async *tar(globals: Buffer, databases: readonly DatabaseToDump[]): AsyncGenerator<Buffer> {
    const names = fileNames(databases.map(({ name }) => name));
    yield Buffer.concat([this.#header(globalsName, globals.length), globals, padding(globals.length)]);
    for (const [index, database] of databases.entries()) {
      const spooled = join(this.#context.scratchDir, `database-${index}.zst`);
      try {
        const sizeBytes = await this.#spool(database, spooled);
        yield this.#header(names.get(database.name) ?? '', sizeBytes);
        yield* readSpooled(spooled, sizeBytes);
        yield padding(sizeBytes);
      } finally {
        await rm(spooled, { force: true });
      }
    }
    yield endOfArchive;
  }

  #header(name: string, size: number): Buffer {
    const mtime = Math.floor(this.#progress.pinnedAt.getTime() / 1000);
    return encodeEntry({ path: Buffer.from(name), type: 'file', size, mode: 0o600, uid: 0, gid: 0, mtime });
  }

  async #spool(database: DatabaseToDump, path: string): Promise<number> {
    const { store, emit } = this.#context;
    emit({ type: 'step', store, message: `dumping database "${database.name}"` });
    for (let attempt = 1; ; attempt += 1) {
      const pinned = await this.#pinOf(database);
      try {
        const samples = await this.#sample(database, pinned);
        const sizeBytes = await this.#dump(database, pinned, path);
        this.#progress.samples.push(...samples);
        return sizeBytes;
      } catch (error) {
        if (attempt === attempts || !isWorthAnotherTry(error)) throw error;
        await this.#endDump(database);
        emit({
          type: 'step',
          store,
          message: `pinning database "${database.name}" again: ${messageOf(error)}`,
        });
      } finally {
        await pinned.release();
        this.#progress.pins.delete(database.present);
      }
    }
  }

  /** Before pg_dump takes the snapshot over. A backup without samples is one all the same. */
  async #sample({ name, present }: DatabaseToDump, { snapshot }: Pin): Promise<Sample[]> {
    if (isEnough(this.#progress.samples)) return [];
    try {
      return await takeSamples(this.#server, { database: name, present, snapshot });
    } catch (error) {
      const { store, emit, signal } = this.#context;
      signal.throwIfAborted();
      const message = `nothing of database "${name}" was recorded for a drill to ask again: ${messageOf(error)}`;
      emit({ type: 'step', store, message });
      return [];
    }
  }

  /** An abandoned pg_dump goes on, and keeps its locks. */
  async #endDump({ present }: DatabaseToDump): Promise<void> {
    const { applicationName } = this.#server;
    const where = `application_name = ${literal(applicationName)} AND datname = ${literal(present)}`;
    await endSessions(this.#server, this.#admin, where);
  }

  async #pinOf({ present }: DatabaseToDump): Promise<Pin> {
    const { pins } = this.#progress;
    const pinned = pins.get(present) ?? (await pin(this.#server, present, this.#admin));
    pins.set(present, pinned);
    return pinned;
  }

  async #dump(database: DatabaseToDump, pinned: Pin, path: string): Promise<number> {
    const reader = new DumpReader(`the dump of database "${database.name}"`);
    const chunks = this.#watch(database, pinned, reader);
    await writeSpooled(path, chunks, this.#context.signal);
    const { toc, counts } = reader.end();
    addDump(this.#progress.counts, toc, counts);
    this.#note(database, pinned, toc.entries.filter(({ type }) => type === 'TABLE').length);
    return counts.bytes;
  }

  /**
   * With the first byte pg_dump has all its locks: what has changed until then shows now, what has not will not. The dump
   * is read on meanwhile, because the Engine (20.10) lets no other exec in a container end while one that has ended still
   * has output that nobody takes: waiting here would be waiting for ever.
   */
  async *#watch(database: DatabaseToDump, pinned: Pin, reader: DumpReader): AsyncGenerator<Buffer> {
    let check: Promise<void> | undefined;
    for await (const chunk of this.#server.stream(this.#command(database, pinned))) {
      check ??= refuseRewritten(pinned);
      // Told below, when all is read.
      check.catch(() => undefined);
      reader.read(chunk);
      yield chunk;
    }
    await check;
  }

  #command({ present }: DatabaseToDump, { snapshot }: Pin) {
    return [
      'pg_dump',
      '--format=custom',
      '--compress=0',
      `--snapshot=${snapshot}`,
      '--lock-wait-timeout=10min',
      '--no-password',
      `--username=${this.#server.user}`,
      `--dbname=${conninfo(present)}`,
    ] as const;
  }

  #note({ name }: DatabaseToDump, pinned: Pin, tables: number): void {
    const { notes, pinnedAt } = this.#progress;
    if (tables !== pinned.tables) {
      notes.push(`database "${name}" has ${pinned.tables} tables, its dump ${tables}: see what was excluded`);
    }
    const lateMs = pinned.pinnedAt.getTime() - pinnedAt.getTime();
    if (lateMs > 2000)
      notes.push(`database "${name}" is ${Math.round(lateMs / 1000)} s younger than the first one`);
  }
}

async function refuseRewritten(pinned: Pin): Promise<void> {
  const rewritten = await pinned.rewrittenSince();
  if (rewritten.length > 0) throw new RewrittenError(rewritten);
  await pinned.release();
}

class RewrittenError extends PkbackupError {
  constructor(tables: readonly string[]) {
    const names = tables.slice(0, 3).map((name) => `"${name}"`);
    super('backup_failed', `${names.join(', ')} was rewritten or dropped since it was pinned`, {
      hint: 'something truncates or alters tables all the time; back up when it is quiet',
    });
  }
}

/** A table that was dropped since the pin, or a pin that is too old. */
function isWorthAnotherTry(error: unknown): boolean {
  return (
    error instanceof RewrittenError ||
    /does not exist|invalid snapshot|could not import/.test(messageOf(error))
  );
}
