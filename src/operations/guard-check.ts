// Whether all is well after the command of a guard: who ran runs, servers are healthy, and each has what its backup has. A
// server that comes up healthy and empty is the failure that nobody else notices.
import { isUp, sleep } from '../docker/index.ts';
import { messageOf, PkbackupError } from '../errors.ts';
import type { GuardRecord } from '../repository/index.ts';
import { storeOf } from '../stores/index.ts';
import type { StoreContext } from '../stores/store.ts';
import type { Counts } from '../words.ts';
import { backupOf, type GuardedStore } from './guarded-store.ts';
import { contentOf } from './inspect-archive.ts';
import { contextFor, type Run } from './run.ts';

const usualHealthSeconds = 120;

/** What is wrong, as sentences; none where all is well. Throws only what aborts the run. */
export async function checkGuarded(run: Run, record: GuardRecord): Promise<string[]> {
  const findings: string[] = [];
  const attempt = async (what: string, act: () => Promise<readonly string[]>) => {
    try {
      findings.push(...(await act()));
    } catch (error) {
      run.signal.throwIfAborted();
      findings.push(`${what}${messageOf(error)}`);
    }
  };
  for (const { name, isUp: ranBefore } of record.containers) {
    if (ranBefore) await attempt('', () => untilServes(run, name, longestHealthMs(record)));
  }
  // What does not run cannot be asked.
  if (findings.length > 0) return findings;
  for (const store of record.stores) await attempt(`${store.store}: `, () => checkStore(run, record, store));
  return findings;
}

function longestHealthMs({ stores }: GuardRecord): number {
  const seconds = stores.map(
    ({ kind, healthSeconds }) => healthSeconds ?? storeOf(kind).quiesce.healthSeconds ?? usualHealthSeconds,
  );
  return Math.max(...seconds) * 1000;
}

async function untilServes(run: Run, name: string, deadlineMs: number): Promise<string[]> {
  const docker = await run.docker();
  const container = await docker.container(name, { signal: run.signal });
  if (!container) return [`container "${name}" is not there any more`];
  if (!isUp(container)) return [`container "${name}" does not run: exit code ${container.exitCode}`];
  await docker.waitUntilHealthy(container.id, { signal: run.signal, deadlineMs });
  return [];
}

async function checkStore(run: Run, record: GuardRecord, store: GuardedStore): Promise<string[]> {
  const backup = await backupOf(run, store);
  await using scratch = await run.repository.makeScratch();
  const context = contextFor(run, store.store, scratch.path);
  const kind = storeOf(store.kind);
  const target = kind.schema.parse(store.target);
  const giveUpAtMs = performance.now() + longestHealthMs(record);
  const asked = await untilAnswered(store, context, giveUpAtMs, async () => {
    if (kind.askLive) return kind.askLive(target, contentOf(run, backup), context);
    const { counts, isEmpty } = await kind.look(target, context);
    const isGone = isEmpty && backup.metadata.content_bytes !== 0;
    return { findings: isGone ? ['there is nothing in it'] : [], counts };
  });
  const fewer = fewerThan(backup.metadata.counts, asked.counts, record.mayShrinkPercent);
  const findings = [...asked.findings, ...fewer].map((finding) => `${store.store}: ${finding}`);
  if (findings.length > 0 || !kind.askLive) return findings;
  // Where the data lies: what is not on a mount is gone with the container.
  await kind.look(target, context);
  return [];
}

interface Asked {
  readonly findings: readonly string[];
  readonly counts: Counts;
}

/** Without a health check of its own a server may run, and not serve yet. */
async function untilAnswered(
  { target }: GuardedStore,
  { docker, signal }: StoreContext,
  giveUpAtMs: number,
  ask: () => Promise<Asked>,
): Promise<Asked> {
  const name = (target as { container?: unknown } | undefined)?.container;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      signal.throwIfAborted();
      const mayPass = error instanceof PkbackupError && ['unhealthy', 'failed'].includes(error.code);
      const container =
        typeof name === 'string' ? await (await docker()).container(name, { signal }) : undefined;
      if (!mayPass || !container || !isUp(container) || performance.now() > giveUpAtMs) throw error;
      await sleep(1000, signal);
    }
  }
}

/** More is no finding: clients may have written since the backup. */
export function fewerThan(expected: Counts, found: Counts, mayShrinkPercent: number): string[] {
  return Object.entries(expected).flatMap(([what, count]) => {
    const now = found[what];
    const least = Math.floor(count * (1 - mayShrinkPercent / 100));
    return now === undefined || now >= least ? [] : [`found ${now} ${what}, the backup has ${count}`];
  });
}
