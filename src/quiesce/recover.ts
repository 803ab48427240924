// Heals what crashed runs have left: holds whose process and watchdog are dead, and helper containers of dead processes.

import { access, rm } from 'node:fs/promises';
import { type Docker, sleep } from '../docker/index.ts';
import { messageOf } from '../errors.ts';
import { isAlive } from '../owner.ts';
import { heal, unreleased } from './heal.ts';
import { findUnbegun, type JournalEntry, readJournals } from './journal.ts';

export interface RecoverOptions {
  readonly journalDirectory: string;
  readonly docker: () => Promise<Docker>;
  /** Says what would be done, and does nothing. */
  readonly dryRun?: boolean;
}

export interface Recovered {
  readonly what: 'container' | 'helper' | 'journal';
  /** Name of the container, or path of the journal. */
  readonly name: string;
  readonly store?: string;
  /** One line for people: `started container "chroma", left stopped by a crashed run`. */
  readonly message: string;
  readonly ok: boolean;
}

const patienceMs = 30_000;
const watchdogMs = 10_000;

const done = {
  started: 'started container',
  unpaused: 'unpaused container',
  'ran-already': 'container runs already:',
  gone: 'container is gone:',
  failed: 'could not start container',
};

/** Docker is asked only where there is a journal of a dead process. */
export async function recoverHolds(options: RecoverOptions): Promise<Recovered[]> {
  const orphans = (await readJournals(options.journalDirectory)).filter(({ head }) => !isAlive(head.owner));
  const recovered: Recovered[] = [];
  for (const orphan of orphans) recovered.push(...(await recoverOne(orphan, options)));
  for (const path of await findUnbegun(options.journalDirectory)) {
    if (!options.dryRun) await rm(path, { force: true });
    const message = `${options.dryRun ? 'would remove' : 'removed'} the journal of a hold that never began`;
    recovered.push({ what: 'journal', name: path, ok: true, message });
  }
  return recovered;
}

async function recoverOne(orphan: JournalEntry, options: RecoverOptions): Promise<Recovered[]> {
  const { head, path, phases } = orphan;
  const { store, plan } = head;
  const left = unreleased(plan, phases).flat();
  if (options.dryRun) {
    return left.map(({ name }) => {
      return { what: 'container', name, store, ok: true, message: `would let go container "${name}"` };
    });
  }
  if (left.length === 0) {
    await rm(path, { force: true });
    return [
      { what: 'journal', name: path, store, ok: true, message: 'removed the journal of an ended hold' },
    ];
  }
  const docker = await options.docker();
  if (await isDoneByWatchdog(orphan)) return [];
  const healed = await heal(docker, plan, phases, { patienceMs });
  if (healed.every(({ result }) => result !== 'failed')) await rm(path, { force: true });
  return healed.map(({ container, result, error }) => {
    const how = plan.mode === 'pause' ? 'paused' : 'stopped';
    const message = `${done[result]} "${container}", left ${how} by a run that crashed`;
    const why = error === undefined ? '' : `: ${messageOf(error)}`;
    return { what: 'container', name: container, store, ok: result !== 'failed', message: message + why };
  });
}

/**
 * Two who let go at once would be in each other's way: what one of them undoes, the other might start. A watchdog that does
 * not come to its end is not waited for any longer.
 */
async function isDoneByWatchdog({ path, watchdog }: JournalEntry): Promise<boolean> {
  const giveUpAt = performance.now() + watchdogMs;
  while (watchdog && isAlive(watchdog) && performance.now() < giveUpAt) await sleep(50);
  return access(path).then(
    () => false,
    () => true,
  );
}

/** What drills have made, and helper containers, where their process is dead. */
export async function recoverHelpers(
  docker: Docker,
  options: { dryRun?: boolean } = {},
): Promise<Recovered[]> {
  const verb = options.dryRun ? 'would remove' : 'removed';
  const recovered: Recovered[] = [];
  for (const id of await docker.orphanThrowaways(isAlive)) {
    if (!options.dryRun) await docker.clearThrowaway(id);
    const message = `${verb} what is left in Docker of drill "${id}", which crashed`;
    recovered.push({ what: 'helper', name: id, ok: true, message });
  }
  for (const helper of await docker.orphanHelpers(isAlive)) {
    if (!options.dryRun) await docker.removeHelper(helper);
    const message = `${verb} helper container "${helper.name}" of a run that crashed`;
    recovered.push({ what: 'helper', name: helper.name, ok: true, message });
  }
  return recovered;
}
