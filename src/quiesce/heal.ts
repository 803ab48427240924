// Ends a hold that its own process could not end: exactly what was held is let go, in the order of dependencies. The
// watchdog does it when pkbackup dies, and `recover` when both died.
import type { Docker } from '../docker/index.ts';
import type { HoldPhase } from './guard.ts';
import { type LetGoResult, letGo, untilHelpersEnd } from './let-go.ts';
import type { Held, HoldPlan } from './plan.ts';

const healthDeadlineMs = 60_000;

export interface Healed {
  readonly container: string;
  readonly result: LetGoResult | 'failed';
  readonly error?: unknown;
}

/** Those that were touched and are not known to run again. */
export function unreleased(plan: HoldPlan, phases: ReadonlyMap<string, HoldPhase>): Held[][] {
  const isOpen = ({ id }: Held) => phases.has(id) && phases.get(id) !== 'released';
  return plan.levels.map((level) => level.filter(isOpen)).filter((level) => level.length > 0);
}

/** Tries every container, also after one has failed; none where a helper does not end: its data may be half swapped. */
export async function heal(
  docker: Docker,
  plan: HoldPlan,
  phases: ReadonlyMap<string, HoldPhase>,
  patience: { patienceMs: number; refusals?: number },
): Promise<Healed[]> {
  const healed: Healed[] = [];
  const left = unreleased(plan, phases);
  try {
    if (left.length > 0) await untilHelpersEnd(docker, plan.restoreId, patience.patienceMs);
  } catch (error) {
    return left.flat().map(({ name }) => ({ container: name, result: 'failed', error }));
  }
  for (const [index, level] of left.toReversed().entries()) {
    // Whoever depends on those of the level before waits until they serve, or do not in time.
    if (index > 0 && plan.mode === 'stop') await untilServing(docker, left.at(-index) ?? []);
    healed.push(
      ...(await Promise.all(level.map((held) => healOne(docker, plan, held, phases.get(held.id), patience)))),
    );
  }
  return healed;
}

async function untilServing(docker: Docker, level: readonly Held[]): Promise<void> {
  await Promise.allSettled(
    level.map(({ id }) => docker.waitUntilHealthy(id, { deadlineMs: healthDeadlineMs })),
  );
}

async function healOne(
  docker: Docker,
  plan: HoldPlan,
  held: Held,
  phase: HoldPhase | undefined,
  patience: { patienceMs: number; refusals?: number },
): Promise<Healed> {
  const { mode, graceSeconds } = plan;
  try {
    const result = await letGo(docker, held, {
      mode,
      graceSeconds,
      isSettled: phase === 'held',
      ...patience,
    });
    return { container: held.name, result };
  } catch (error) {
    return { container: held.name, result: 'failed', error };
  }
}
