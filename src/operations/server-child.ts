// Starts a server that pkbackup had stopped when pkbackup is dead: a program of its own, which waits on a pipe from that one.
// What it runs came through the pipe, from the configuration of that run, and is written nowhere.
import { rm } from 'node:fs/promises';
import process from 'node:process';
import { runProgram } from '../process.ts';
import { insistUntilDone, toldByPipe } from './child-work.ts';
import type { StartOrder } from './host-server.ts';

interface Told {
  order?: StartOrder;
  isStopped?: boolean;
  /** The program that starts it was run, and may outlive who ran it. */
  isStarting?: boolean;
  isSwapping?: boolean;
  end?: true;
}

/** Milliseconds, for a program that starts it and is under way. */
const startingMs = 10_000;

process.exit(await wait());

async function wait(): Promise<number> {
  let told: Told = {};
  for await (const line of toldByPipe<Told>(process)) {
    told = { ...told, ...line };
    if (told.end) return 0;
  }
  const { order, isStopped, isStarting = false, isSwapping } = told;
  if (!order) return 0;
  // The next command puts the data in order, and starts the server then.
  if (isSwapping) return 0;
  if (isStopped) return startAgain(order, isStarting);
  await rm(order.marker, { force: true });
  return 0;
}

async function startAgain(
  { store, start, patienceMs: stopMs, marker }: StartOrder,
  isStarting: boolean,
): Promise<number> {
  const { hasEnded, isSeen, serverOf, serverProgram, startedMs } = await import('./host-server.ts');
  const server = serverOf(store, { environment: process.env });
  if (!server) return 1;
  const { argv, cwd, deadlineMs } = start;
  const environment = { ...process.env, ...serverProgram('start', start, store).variables };
  if (isStarting && (await isSeen(server, startingMs))) {
    await rm(marker, { force: true });
    return 0;
  }
  // The stop may still be under way: a server that is about to end would be taken for one that runs.
  if (!isStarting) await hasEnded(server, stopMs);
  return insistUntilDone(marker, async () => {
    const { exitCode } = await runProgram(argv, { cwd, deadlineMs, environment });
    return (await isSeen(server, exitCode === 0 ? startedMs : 0)) || exitCode === 0;
  });
}
