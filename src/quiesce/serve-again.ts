// After a hold whose data was changed: to be started is not to serve. A server may end on what it finds.
import { type CallOptions, type Docker, isUp } from '../docker/index.ts';
import { PkbackupError } from '../errors.ts';
import { letGo } from './let-go.ts';
import type { Held } from './plan.ts';

/**
 * Throws `unhealthy` where one that was held does not run any more, or does not get healthy although it was before. Those
 * that are gone are not waited for.
 */
export async function waitUntilServing(
  docker: Docker,
  held: readonly Held[],
  options: CallOptions = {},
): Promise<void> {
  const { signal } = options;
  await Promise.all(
    held.map(async ({ id, wasHealthy }) => {
      const container = await docker.container(id, { signal });
      if (!container) return;
      if (wasHealthy !== false) await docker.waitUntilHealthy(id, options);
      else if (!isUp(container)) {
        throw new PkbackupError(
          'unhealthy',
          `container "${container.name}" ended with exit code ${container.exitCode}`,
        );
      }
    }),
  );
}

/**
 * Starts everyone who does not run, the other way round than they were stopped: each waits until the one before serves, or
 * does not in time. Tries each, and throws the first failure.
 */
export async function startAgain(docker: Docker, held: readonly Held[]): Promise<void> {
  const failures: unknown[] = [];
  for (const [index, one] of held.toReversed().entries()) {
    try {
      const result = await letGo(docker, one, startOptions);
      if (result === 'started' && index < held.length - 1) {
        await docker.waitUntilHealthy(one.id, { deadlineMs: healthDeadlineMs }).catch(() => undefined);
      }
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}

const startOptions = { mode: 'stop', isSettled: true, graceSeconds: 0, patienceMs: 60_000 } as const;
const healthDeadlineMs = 60_000;
