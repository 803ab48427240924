// Lets clients go when the process that held them is dead: a program of its own, which waits on a pipe from that one. What it
// runs came through the pipe, from the configuration of that run, and is written nowhere.
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { runProgram } from '../process.ts';
import type { ReleaseOrder } from './outside-clients.ts';

const patienceMs = 24 * 60 * 60 * 1000;
const longestWaitMs = 60_000;

// What ends pkbackup must not end this first.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
process.stdout.on('error', () => undefined);

process.exit(await wait());

async function wait(): Promise<number> {
  let order: ReleaseOrder | undefined;
  for await (const text of createInterface({ input: process.stdin })) {
    const line = JSON.parse(text) as ReleaseOrder | { end: true };
    if ('end' in line) return 0;
    order = line;
    process.stdout.write('ready\n');
  }
  return order === undefined ? 0 : release(order);
}

async function release({ release: { argv, cwd, deadlineMs }, marker }: ReleaseOrder): Promise<number> {
  const giveUpAt = Date.now() + patienceMs;
  const environment = { ...process.env, PKBACKUP_CLIENTS: 'release' };
  for (let waitMs = 1000; Date.now() < giveUpAt; waitMs = Math.min(longestWaitMs, waitMs * 2)) {
    const { exitCode } = await runProgram(argv, { cwd, deadlineMs, environment });
    if (exitCode === 0) {
      await rm(marker, { force: true });
      return 0;
    }
    await sleep(waitMs);
    // Somebody else has done it.
    if (!existsSync(marker)) return 0;
  }
  return 1;
}
