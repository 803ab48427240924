// Lets clients go when the process that held them is dead: a program of its own, which waits on a pipe from that one. What it
// runs came through the pipe, from the configuration of that run, and is written nowhere.
import process from 'node:process';
import { runProgram } from '../process.ts';
import { insistUntilDone, toldByPipe } from './child-work.ts';
import type { ReleaseOrder } from './outside-clients.ts';

process.exit(await wait());

async function wait(): Promise<number> {
  let order: ReleaseOrder | undefined;
  for await (const line of toldByPipe<ReleaseOrder | { end: true }>(process)) {
    if ('end' in line) return 0;
    order = line;
  }
  return order === undefined ? 0 : release(order);
}

async function release({ release: { argv, cwd, deadlineMs }, marker }: ReleaseOrder): Promise<number> {
  const environment = { ...process.env, PKBACKUP_CLIENTS: 'release' };
  return insistUntilDone(marker, async () => {
    const { exitCode } = await runProgram(argv, { cwd, deadlineMs, environment });
    return exitCode === 0;
  });
}
