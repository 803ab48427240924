// Letting one held container go, whatever became of it meanwhile. Also what the watchdog and `recover` do.
import { type Container, type Docker, isUp, sleep } from '../docker/index.ts';
import { PkbackupError } from '../errors.ts';
import type { Held, HoldMode } from './plan.ts';

export interface LetGoOptions {
  readonly mode: HoldMode;
  /**
   * False where it is not known that the stop or pause has ended (it failed, or pkbackup died meanwhile). The Engine goes
   * on with a stop whose caller is gone, so a container that still runs may be about to end.
   */
  readonly isSettled: boolean;
  readonly graceSeconds: number;
  /** How long to go on trying while Docker does not answer. */
  readonly patienceMs: number;
  /** How often Docker may refuse before that counts; 7 where it is missing. */
  readonly refusals?: number;
}

/**
 * What a dead process has begun in a volume goes on in the Engine: a swap by renaming, which is whole when it ends. Throws
 * where it does not end, or Docker does not answer, within `patienceMs`; and at once where it was broken off: waiting does
 * not help, only whoever undoes the restore.
 */
export async function untilHelpersEnd(
  docker: Docker,
  restoreId: string | undefined,
  patienceMs: number,
): Promise<void> {
  if (restoreId === undefined) return;
  const giveUpAt = performance.now() + patienceMs;
  for (let waitMs = 100; ; waitMs = Math.min(5000, waitMs * 2)) {
    try {
      return await docker.clearHelpers(restoreId, {
        waits: true,
        deadlineMs: Math.max(0, giveUpAt - performance.now()),
      });
    } catch (error) {
      const isBrokenOff = error instanceof PkbackupError && error.code === 'restore_failed';
      if (isBrokenOff || performance.now() + waitMs > giveUpAt) throw error;
      await sleep(waitMs);
    }
  }
}

export type LetGoResult = 'started' | 'unpaused' | 'ran-already' | 'gone';

const usualRefusals = 7;
const pauseSettleMs = 3000;
const stopSettleMarginMs = 5000;

/** Throws when it cannot be started; MUST NOT be cut short by the signal of the operation. */
export async function letGo(docker: Docker, held: Held, options: LetGoOptions): Promise<LetGoResult> {
  const giveUpAt = performance.now() + options.patienceMs;
  let refusals = 0;
  for (let waitMs = 100; ; waitMs = Math.min(5000, waitMs * 2)) {
    try {
      return await letGoOnce(docker, held, options);
    } catch (error) {
      const isAway = error instanceof PkbackupError && error.code === 'docker_unreachable';
      if (!isAway) refusals += 1;
      if (refusals >= (options.refusals ?? usualRefusals) || performance.now() + waitMs > giveUpAt)
        throw error;
      await sleep(waitMs);
    }
  }
}

async function letGoOnce(docker: Docker, held: Held, options: LetGoOptions): Promise<LetGoResult> {
  const container = await settled(docker, held, options);
  if (!container) return startSuccessor(docker, held);
  if (options.mode === 'pause') {
    if (container.state !== 'paused') return 'ran-already';
    await docker.unpause(container);
    return 'unpaused';
  }
  if (isUp(container)) return 'ran-already';
  await docker.start(container);
  return 'started';
}

async function settled(docker: Docker, held: Held, options: LetGoOptions): Promise<Container | undefined> {
  const container = await docker.container(held.id);
  if (!container || options.isSettled) return container;
  const isPause = options.mode === 'pause';
  const untilMs =
    performance.now() + (isPause ? pauseSettleMs : options.graceSeconds * 1000 + stopSettleMarginMs);
  let current: Container | undefined = container;
  while (current?.state === 'running' && current.startedAt === held.startedAt) {
    if (performance.now() > untilMs) return current;
    await sleep(100);
    current = await docker.container(held.id);
  }
  return current;
}

/** `docker compose` makes a container anew when its settings changed: same project and service, another id. */
async function startSuccessor(docker: Docker, held: Held): Promise<LetGoResult> {
  const { project, service } = held;
  if (project === undefined || service === undefined) return 'gone';
  const successor = (await docker.containers()).find(
    ({ labels }) =>
      labels['com.docker.compose.project'] === project && labels['com.docker.compose.service'] === service,
  );
  if (!successor) return 'gone';
  if (isUp(successor)) return 'ran-already';
  await docker.start(successor);
  return 'started';
}
