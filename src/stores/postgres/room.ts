// Room for what a restore makes beside the present databases. A server whose disk is full ends (it cannot write its log any
// more), and does not start again before somebody has made room: so a restore stops while there is still enough left for
// the server to take back what was made.
import { sleep } from '../../docker/index.ts';
import { PkbackupError } from '../../errors.ts';
import { type Disk, megabytes } from '../free-space.ts';
import type { BackupFacts } from '../store.ts';
import type { Server } from './server.ts';

const smallestReserveBytes = 64 * 1024 * 1024;
const largestReserveBytes = 2 * 1024 ** 3;
/** Rows take more room than their text, and indexes are not in a dump. */
const largestGrowth = 3;

export interface Room {
  readonly disk: Disk;
  /** For the server itself. */
  readonly reserveBytes: number;
}

/** Of the data directory; undefined where it cannot be seen. */
export async function roomAt(server: Server, path: string | null): Promise<Room | undefined> {
  if (path === null) return undefined;
  const disk = await server.diskOf(path);
  if (!disk) return undefined;
  const share = Math.ceil(disk.totalBytes / 50);
  return { disk, reserveBytes: Math.min(largestReserveBytes, Math.max(smallestReserveBytes, share)) };
}

/** What the databases took when they were saved, unless much of that was empty space. */
export function bytesBeside({ rawSizeBytes, storedBytes }: BackupFacts): number | undefined {
  if (rawSizeBytes === undefined) return storedBytes;
  return Math.min(storedBytes ?? Number.POSITIVE_INFINITY, largestGrowth * rawSizeBytes);
}

/** Breaks `act` off with `restore_failed` when the reserve is reached. */
export async function whileThereIsRoom<Result>(
  server: Server,
  path: string | null,
  act: (server: Server) => Promise<Result>,
): Promise<Result> {
  const room = await roomAt(server, path);
  if (!room) return act(server);
  if (leftIn(room) < 0) throw noRoom(server, room);
  const full = new AbortController();
  const done = new AbortController();
  const watching = watch(server.withSignal(AbortSignal.any([server.signal, done.signal])), path, room, full);
  try {
    return await act(server.withSignal(AbortSignal.any([server.signal, full.signal])));
  } catch (error) {
    throw full.signal.aborted ? full.signal.reason : error;
  } finally {
    done.abort();
    await watching;
  }
}

const shortestWaitMs = 500;
const longestWaitMs = 10_000;
const fastestBytesPerMs = 400_000;

const leftIn = ({ disk, reserveBytes }: Room): number => disk.freeBytes - reserveBytes;

/** The more there is, the later it looks again. */
async function watch(server: Server, path: string | null, seen: Room, full: AbortController): Promise<void> {
  try {
    for (let room: Room | undefined = seen; room; room = await roomAt(server, path)) {
      const left = leftIn(room);
      if (left < 0) return full.abort(noRoom(server, room));
      await sleep(Math.min(longestWaitMs, shortestWaitMs + left / fastestBytesPerMs), server.signal);
    }
  } catch {
    // Nothing can be seen any more; what is wrong, the work itself will tell.
  }
}

function noRoom({ where }: Server, { disk, reserveBytes }: Room): PkbackupError {
  return new PkbackupError(
    'restore_failed',
    `the disk of ${where} is nearly full: ${megabytes(disk.freeBytes)} are free, and the server itself needs ${megabytes(reserveBytes)}`,
    { hint: 'make room there, or restore into another server with --to container:NAME' },
  );
}
