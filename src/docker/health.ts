// Waiting until a container that was started really serves.
import { PkbackupError } from '../errors.ts';
import type { Container } from './container.ts';
import { inspectIfThere } from './containers.ts';
import { type CallOptions, sleep } from './deadline.ts';
import type { Engine } from './engine.ts';

export interface HealthOptions extends CallOptions {
  /** Asked where the container has no health check of its own: true when it serves. What it throws counts as false. */
  readonly probe?: ((signal: AbortSignal | undefined) => Promise<boolean>) | undefined;
}

const healthDeadlineMs = 120_000;
const steadyMs = 2000;
/** Some come up only when others do, and end until then. */
const startsAllowed = 7;

/** Throws `unhealthy` when the container ends or the deadline passes. Without check and probe, running for 2 s will do. */
export async function waitUntilHealthy(
  engine: Engine,
  id: string,
  options: HealthOptions = {},
): Promise<Container> {
  const startedMs = performance.now();
  const deadlineMs = options.deadlineMs ?? healthDeadlineMs;
  const { signal } = options;
  const starts = new Set<string>();
  for (;;) {
    const container = await inspectIfThere(engine, id, { signal });
    if (!container) throw new PkbackupError('unhealthy', `container "${id.slice(0, 12)}" is gone`);
    starts.add(container.startedAt);
    const elapsedMs = performance.now() - startedMs;
    if (await serves(container, elapsedMs, options)) return container;
    refuseEnded(container);
    if (starts.size > startsAllowed) throw notSteady(container);
    if (elapsedMs > deadlineMs) throw notHealthy(container, deadlineMs);
    await sleep(Math.min(500, 50 + elapsedMs / 10), signal);
  }
}

async function serves(
  container: Container,
  elapsedMs: number,
  { probe, signal }: HealthOptions,
): Promise<boolean> {
  if (container.state !== 'running') return false;
  if (container.hasHealthCheck) return container.health === 'healthy';
  if (!probe) return elapsedMs >= steadyMs;
  return probe(signal).catch((error) => {
    if (signal?.aborted) throw error;
    return false;
  });
}

/** With a restart policy it never ends for good. */
function notSteady({ name, exitCode }: Container): PkbackupError {
  return new PkbackupError('unhealthy', `container "${name}" ends again and again (exit code ${exitCode})`, {
    hint: `see docker logs ${name}`,
  });
}

/** With a restart policy the state is `restarting`. */
function refuseEnded(container: Container): void {
  if (container.state !== 'exited' && container.state !== 'dead') return;
  throw new PkbackupError(
    'unhealthy',
    `container "${container.name}" ended with exit code ${container.exitCode}`,
    {
      hint: `see docker logs ${container.name}`,
    },
  );
}

function notHealthy(container: Container, deadlineMs: number): PkbackupError {
  const state = container.health ?? container.state;
  const message = `container "${container.name}" is not healthy after ${Math.round(deadlineMs / 1000)} s (${state})`;
  return new PkbackupError('unhealthy', message, { hint: `see docker logs ${container.name}` });
}
