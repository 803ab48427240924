// Starts a server that pkbackup had stopped when pkbackup is dead: a program of its own, which waits on a pipe from that one.
// What it runs came through the pipe, from the configuration of that run, and is written nowhere.
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { runProgram } from '../process.ts';
import type { StartOrder } from './host-server.ts';

interface Told {
  order?: StartOrder;
  isStopped?: boolean;
  isSwapping?: boolean;
  end?: true;
}

const patienceMs = 24 * 60 * 60 * 1000;
const longestWaitMs = 60_000;

// What ends pkbackup must not end this first.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
process.stdout.on('error', () => undefined);

process.exit(await wait());

async function wait(): Promise<number> {
  let told: Told = {};
  for await (const text of createInterface({ input: process.stdin })) {
    told = { ...told, ...(JSON.parse(text) as Told) };
    if (told.end) return 0;
    process.stdout.write('ready\n');
  }
  const { order, isStopped, isSwapping } = told;
  if (!order) return 0;
  // The next command puts the data in order, and starts the server then.
  if (isSwapping) return 0;
  if (isStopped) return startAgain(order);
  await rm(order.marker, { force: true });
  return 0;
}

async function startAgain({ store, start, patienceMs: stopMs, marker }: StartOrder): Promise<number> {
  const { hasEnded, serverOf, serverProgram } = await import('./host-server.ts');
  const server = serverOf(store, { environment: process.env });
  if (!server) return 1;
  const { argv, cwd, deadlineMs } = start;
  const environment = { ...process.env, ...serverProgram('start', start, store).variables };
  // The stop may still be under way: a server that is about to end would be taken for one that runs.
  await hasEnded(server, stopMs);
  const giveUpAt = Date.now() + patienceMs;
  for (let waitMs = 1000; Date.now() < giveUpAt; waitMs = Math.min(longestWaitMs, waitMs * 2)) {
    const { exitCode } = await runProgram(argv, { cwd, deadlineMs, environment });
    if (exitCode === 0 || (await server.isRunning())) {
      await rm(marker, { force: true });
      return 0;
    }
    await sleep(waitMs);
    // Somebody else has done it.
    if (!existsSync(marker)) return 0;
  }
  return 1;
}
