// The other end of child-pipe.ts, in the child: what it is told, and what it goes on trying when the one who told it is dead.
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const patienceMs = 24 * 60 * 60 * 1000;
const longestWaitMs = 60_000;

/** Each line that comes, until the other end has ended, however. */
export async function* toldByPipe<Line>({
  stdin,
  stdout,
}: Pick<NodeJS.Process, 'stdin' | 'stdout'>): AsyncGenerator<Line> {
  // What ends pkbackup must not end this first.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
  stdout.on('error', () => undefined);
  for await (const text of createInterface({ input: stdin })) {
    yield JSON.parse(text) as Line;
    stdout.write('ready\n');
  }
}

/** Until `attempt` says that it is done, or nothing is at `marker` any more: somebody else has done it. The exit code. */
export async function insistUntilDone(marker: string, attempt: () => Promise<boolean>): Promise<number> {
  const giveUpAt = Date.now() + patienceMs;
  for (let waitMs = 1000; Date.now() < giveUpAt; waitMs = Math.min(longestWaitMs, waitMs * 2)) {
    if (await attempt()) {
      await rm(marker, { force: true });
      return 0;
    }
    await sleep(waitMs);
    if (!existsSync(marker)) return 0;
  }
  return 1;
}
