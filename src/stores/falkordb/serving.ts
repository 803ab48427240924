// Whether a server without Docker runs, and when it serves what it was started on.
import { sleep } from '../../docker/index.ts';
import { PkbackupError } from '../../errors.ts';
import { ifLoaded } from './loaded.ts';
import type { ServerOnHost } from './on-host.ts';
import { ask } from './server.ts';

const pingMs = 10_000;
const loadDeadlineMs = 30 * 60_000;
/** From the end of its start to the moment in which it listens, or after it has ended. */
const silenceMs = 20_000;

/** Only a refused connection says that it does not. */
export async function isRunning(server: ServerOnHost): Promise<boolean> {
  const env = {};
  try {
    const { exitCode, stdout, stderr } = await server.run(['-e', 'PING'], env, {
      deadlineMs: pingMs,
      signal: server.signal,
    });
    if (exitCode === 126 || exitCode === 127) throw server.noClient();
    return !isRefused(`${stdout}${stderr}`);
  } catch (error) {
    server.signal.throwIfAborted();
    if (error instanceof PkbackupError && error.code === 'failed') return true;
    throw error;
  }
}

const isRefused = (said: string): boolean =>
  /Could not connect.*: (Connection refused|No such file or directory)/.test(said);

/** Without a save: that was made before. A server that ends says nothing more. */
export async function tellToStop(server: ServerOnHost): Promise<void> {
  const refusal = await ask(server, ['SHUTDOWN', 'NOSAVE']).then(
    () => undefined,
    (error: unknown) => error,
  );
  if (refusal instanceof PkbackupError && refusal.code === 'config') throw refusal;
}

/** Throws `unhealthy` where it does not load what it finds. */
export async function untilServing(server: ServerOnHost): Promise<void> {
  const giveUpAt = performance.now() + loadDeadlineMs;
  let heardAt = performance.now();
  for (let waitMs = 50; ; waitMs = Math.min(1000, waitMs * 1.5)) {
    if (await ifLoaded(async () => server, server)) return;
    if (await isRunning(server)) heardAt = performance.now();
    const now = performance.now();
    if (now - heardAt > silenceMs || now > giveUpAt) throw cannotLoad(server);
    await sleep(waitMs, server.signal);
  }
}

function cannotLoad({ where }: ServerOnHost): PkbackupError {
  return new PkbackupError('unhealthy', `${where} does not load its data`, { hint: 'see its log' });
}
