// Starts a server that pkbackup had stopped when pkbackup is dead: a program of its own, which waits on a pipe from that one.
// What it runs came through the pipe, from the configuration of that run, and is written nowhere.
import { rm } from 'node:fs/promises';
import process from 'node:process';
import { isAlive, type Owner } from '../owner.ts';
import { runProgram } from '../process.ts';
import { insistUntilDone, toldByPipe } from './child-work.ts';
import type { StartOrder } from './host-server.ts';
import { inTime } from './in-time.ts';

interface Told {
  order?: StartOrder;
  isStopped?: boolean;
  /** The last program that was to start it since it was stopped; it may still be under way. */
  starting?: Owner | null;
  isSwapping?: boolean;
  end?: true;
}

process.exit(await wait());

async function wait(): Promise<number> {
  let told: Told = {};
  for await (const line of toldByPipe<Told>(process)) {
    told = { ...told, ...line };
    if (told.end) return 0;
  }
  const { order, isStopped, starting, isSwapping } = told;
  if (!order) return 0;
  // The next command puts the data in order, and starts the server then.
  if (isSwapping) return 0;
  if (isStopped) return startAgain(order, starting ?? undefined);
  await rm(order.marker, { force: true });
  return 0;
}

async function startAgain(
  { store, start, patienceMs: stopMs, marker }: StartOrder,
  starting: Owner | undefined,
): Promise<number> {
  const { hasEnded, serverOf, serverProgram, untilSeen } = await import('./host-server.ts');
  const server = serverOf(store, { environment: process.env });
  if (!server) return 1;
  const { argv, cwd, deadlineMs } = start;
  const environment = { ...process.env, ...serverProgram('start', start, store).variables };
  if (starting) {
    // Another one that starts the server at the same time may spoil it for both.
    await inTime(() => !isAlive(starting), deadlineMs);
    await untilSeen(server);
  }
  // The stop may still be under way: a server that is about to end would be taken for one that runs.
  await hasEnded(server, stopMs);
  return insistUntilDone(marker, async () => {
    const { exitCode } = await runProgram(argv, { cwd, deadlineMs, environment });
    if (exitCode !== 0) return !server.isGuessed && (await server.isRunning());
    await untilSeen(server);
    return true;
  });
}
