// pkbackup run: the foreground loop, for a container beside the stack or a machine without a scheduler. Each backup is a
// process of its own, so that nothing of it stays behind in the one that runs for months, and an upgrade counts at once.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadSettings, type Settings } from '../config/settings.ts';
import { errorCatalogue, messageOf, PkbackupError } from '../errors.ts';
import { keepSchedule, type Next } from '../operations/keep-schedule.ts';
import { lastBackupOf } from '../operations/last-backup.ts';
import { formatLogTime } from '../reporters/format.ts';
import { openRepository } from '../repository/index.ts';
import { type Job, jobsOf } from '../schedule/index.ts';
import type { MetricsServer } from './metrics-server.ts';
import { openRun } from './open-run.ts';
import { flagsAgain, ownProgram } from './own-command.ts';
import type { Session } from './session.ts';

export interface RunFlags {
  /** Where the metrics are served; `true` is the usual address. */
  readonly metrics?: string | true;
}

/** 0 where it was ended while it waited; the code of the backup that was broken off otherwise. */
export async function runRun(session: Session, flags: RunFlags = {}): Promise<number> {
  const { signal, emit } = session;
  const settings = await session.settings();
  scheduledJobs(settings);
  await using server = await metricsServer(session, flags);
  if (server) emit({ type: 'step', message: `metrics at ${server.url}` });
  // Where this is a container that was killed, nothing else lives that would start what it held.
  await openRun(session, 'run');
  let brokenOff = 0;
  await keepSchedule({
    emit,
    signal,
    clock: { now: () => new Date(), wait },
    jobs: async () => scheduledJobs(await settingsNow(session)),
    lastBackup: (job) => lastBackup(session, settings, job),
    perform: async (job) => {
      const exitCode = await backUp(session, job);
      if (signal.aborted) brokenOff = exitCode;
    },
    onNext: (next) => emit({ type: 'step', message: nextText(next) }),
  });
  return brokenOff;
}

/** As the config file is at this moment. */
function settingsNow({ flags }: Session): Promise<Settings> {
  return loadSettings(flags, process.env, process.cwd());
}

async function metricsServer(session: Session, { metrics }: RunFlags): Promise<MetricsServer | undefined> {
  if (metrics === undefined) return undefined;
  const [{ serveMetrics, usualAddress }, { metricsOf }] = await Promise.all([
    import('./metrics-server.ts'),
    import('./metrics.ts'),
  ]);
  const address = metrics === true ? usualAddress : metrics;
  return serveMetrics(address, async () => metricsOf(await settingsNow(session)));
}

/** Throws `config` where nothing is scheduled: a loop that does nothing would look like one that works. */
export function scheduledJobs({ config, stores }: Settings): Job[] {
  const { schedule, timeZone } = config ?? {};
  const jobs = jobsOf({ schedule, timeZone, stores }, systemZone());
  if (jobs.length > 0) return jobs;
  throw new PkbackupError('config', `${config?.name ?? 'pkbackup.yaml'}: nothing is scheduled`, {
    hint: 'set schedule, such as schedule: "0 3 * * *" (docs/scheduling.md)',
  });
}

export function systemZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

async function wait(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {});
}

/** A repository that cannot be read is said by the backup, which must not be left out for that. */
async function lastBackup(
  { emit }: Session,
  { repository, stores }: Settings,
  job: Job,
): Promise<Date | undefined> {
  try {
    const names = job.stores ?? (stores.length > 0 ? stores.map(({ name }) => name) : undefined);
    return await lastBackupOf(openRepository(repository, { stores }), names);
  } catch (error) {
    emit({ type: 'warning', message: `whether a backup was missed is not known: ${messageOf(error)}` });
    return undefined;
  }
}

/** Ends with it: what it holds is let go by itself, and a container that is stopped waits for that. */
async function backUp({ flags, signal, emit }: Session, { stores = [] }: Job): Promise<number> {
  const [node = '', ...args] = [...ownProgram(), ...flagsAgain(flags), 'backup', ...stores];
  const child = spawn(node, args, { stdio: ['ignore', 'inherit', 'inherit'], windowsHide: true });
  // On Windows a signal would be the end without any cleaning up; Ctrl+C reaches both by itself.
  const end = () => process.platform !== 'win32' && child.kill('SIGTERM');
  signal.addEventListener('abort', end, { once: true });
  try {
    const [code, name] = await once(child, 'exit');
    if (typeof name === 'string' && !signal.aborted)
      emit({ type: 'warning', message: `the backup was ended by ${name}` });
    return typeof code === 'number' ? code : errorCatalogue.terminated.exitCode;
  } catch (error) {
    emit({ type: 'warning', message: `the backup could not be started: ${messageOf(error)}` });
    return errorCatalogue.failed.exitCode;
  } finally {
    signal.removeEventListener('abort', end);
  }
}

function nextText(next: Next | undefined): string {
  if (next === undefined) return 'nothing is scheduled';
  const { job, at } = next;
  return `next backup of ${job.stores?.join(', ') ?? 'all stores'} at ${formatLogTime(at).slice(0, 16)}`;
}
