// The watchdog: a process of its own that waits on a pipe from pkbackup. When the pipe closes before it was told that
// everyone runs again, pkbackup is dead, however it died; then the watchdog lets go what was held, for as long as it takes
// until Docker answers. It is told each step before it happens, so it touches nothing that pkbackup did not touch.
import { rm } from 'node:fs/promises';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { connectDocker, type Docker, sleep } from '../docker/index.ts';
import { messageOf } from '../errors.ts';
import type { HoldPhase } from './guard.ts';
import { heal } from './heal.ts';
import { headOf, isNote, type JournalHead, parseLine } from './journal.ts';
import { recoverHelpers } from './recover.ts';

/** What it says when it waits. */
const readyWord = 'ready';
/** After so long somebody else has seen to it. */
const patienceMs = 24 * 60 * 60 * 1000;
const longestWaitMs = 5000;

// What ends pkbackup (Ctrl+C in the terminal, the stop of a service) must not end the watchdog first.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

process.exit(await watch().catch(complain));

/** Read only while pkbackup waits for `ready`. */
function complain(error: unknown): number {
  process.stdout.write(`${messageOf(error)}\n`);
  return 1;
}

async function watch(): Promise<number> {
  const phases = new Map<string, HoldPhase>();
  let head: JournalHead | undefined;
  let journalPath: string | undefined;
  for await (const text of createInterface({ input: process.stdin })) {
    const line = parseLine(text) as { journal?: unknown; head?: unknown; end?: unknown } | undefined;
    if (line?.end === true) return 0;
    if (isNote(line)) phases.set(line.id, line.phase);
    else if (headOf(line?.head)) {
      head = headOf(line?.head);
      journalPath = typeof line?.journal === 'string' ? line.journal : undefined;
      await connectDocker(process.env);
      process.stdout.write(`${readyWord}\n`);
    }
  }
  if (!head) return 0;
  const docker = await connectAtLast();
  const healed = await heal(docker, head.plan, phases, { patienceMs, refusals: 500 });
  await recoverHelpers(docker).catch(() => undefined);
  if (healed.some(({ result }) => result === 'failed')) return 1;
  if (journalPath !== undefined) await rm(journalPath, { force: true });
  return 0;
}

async function connectAtLast(): Promise<Docker> {
  const giveUpAt = Date.now() + patienceMs;
  for (let waitMs = 100; ; waitMs = Math.min(longestWaitMs, waitMs * 2)) {
    try {
      return await connectDocker(process.env);
    } catch (error) {
      if (Date.now() > giveUpAt) throw error;
      await sleep(waitMs);
    }
  }
}
