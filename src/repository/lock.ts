// Locks that die with their process, however it dies: the operating system's own file locks, taken through SQLite because
// Node has no call for them and SQLite knows them on every system. A file beside says who holds a lock, for people.
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { messageOf, PkbackupError } from '../errors.ts';
import { isStoreName } from './naming.ts';
import { asNotWritable, assertWritable } from './writable.ts';

const holder = z.object({ pid: z.number(), host: z.string(), command: z.string(), since: z.string() });
type Holder = z.infer<typeof holder>;

const pollMs = 200;

/** Takes the lock `name` or waits up to `waitMs` for it; throws `locked` with who holds it. */
export async function takeLock(
  directory: string,
  name: string,
  options: { command: string; waitMs?: number; signal: AbortSignal },
): Promise<AsyncDisposable> {
  if (!isStoreName(name)) throw new PkbackupError('failed', `"${name}" is not a name of a store`);
  const locks = join(directory, '.pkbackup', 'locks');
  await mkdir(locks, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw asNotWritable(directory, error);
  });
  await assertWritable(directory, locks);
  const path = join(locks, `${name}.lock`);
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    await acquire(database, path, name, options);
    await rm(holderPath(path), { force: true });
    await writeFile(holderPath(path), JSON.stringify(describeSelf(options.command)), {
      mode: 0o600,
      flag: 'wx',
    });
  } catch (error) {
    database.close();
    throw error;
  }
  return {
    async [Symbol.asyncDispose]() {
      database.close();
    },
  };
}

async function acquire(
  database: DatabaseSync,
  path: string,
  name: string,
  options: { waitMs?: number; signal: AbortSignal },
): Promise<void> {
  const deadline = Date.now() + (options.waitMs ?? 0);
  while (!tryToLock(database)) {
    if (Date.now() >= deadline) throw await heldBy(path, name);
    await sleep(pollMs);
    options.signal.throwIfAborted();
  }
}

function tryToLock(database: DatabaseSync): boolean {
  try {
    database.exec('BEGIN EXCLUSIVE');
    return true;
  } catch (error) {
    if (/locked|busy/i.test(messageOf(error))) return false;
    throw error;
  }
}

async function heldBy(path: string, name: string): Promise<PkbackupError> {
  const who = await readHolder(path);
  const text = who
    ? `process ${who.pid} on ${who.host} ("${who.command}", since ${who.since})`
    : 'another process';
  return new PkbackupError('locked', `${name}: ${text} holds the lock`, {
    hint: 'wait for it to end, or let this command wait with --wait 10m',
  });
}

async function readHolder(path: string): Promise<Holder | undefined> {
  try {
    return holder.parse(JSON.parse(await readFile(holderPath(path), 'utf8')));
  } catch {
    return undefined;
  }
}

function holderPath(path: string): string {
  return `${path}.holder.json`;
}

function describeSelf(command: string): Holder {
  return { pid: process.pid, host: hostname(), command, since: new Date().toISOString() };
}
