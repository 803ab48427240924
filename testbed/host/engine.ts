// The Docker Engine the images live in: found, or installed and started where this may be done.
import { spawn } from 'node:child_process';
import { existsSync, openSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import Docker from 'dockerode';
import { missing, TestbedError } from '../errors.ts';
import { stateDir } from '../state.ts';
import { aptInstall, isRoot } from './apt.ts';
import { isOnPath, lastLines, run } from './run.ts';

export const docker = new Docker();

const startTimeoutMs = 60_000;
const stopTimeoutMs = 60_000;
const logFile = join(stateDir, 'dockerd.log');
const ownFile = join(stateDir, 'dockerd.json');

/** One line about the engine that answers, or undefined. */
export async function engineVersion(): Promise<string | undefined> {
  try {
    const { Version, ApiVersion, Arch } = await docker.version();
    return `${Version} (API ${ApiVersion}, ${Arch})`;
  } catch {
    return undefined;
  }
}

/** Makes sure that an engine answers; installs and starts Debian's own as root, and leaves it running. */
export async function ensureEngine(say: (line: string) => void): Promise<void> {
  if (await engineVersion()) return;
  if (process.env.DOCKER_HOST)
    throw missing(
      `no Docker Engine answers at DOCKER_HOST="${process.env.DOCKER_HOST}"`,
      'start it, or unset DOCKER_HOST',
    );
  if (process.platform !== 'linux' || !isRoot)
    throw missing(
      'no Docker Engine answers',
      'start Docker, or run this as root on Debian to have it installed and started',
    );
  if (!(await isOnPath('dockerd'))) {
    say('installing docker.io');
    await aptInstall(['docker.io']);
  }
  await startEngine(say);
}

async function startEngine(say: (line: string) => void): Promise<void> {
  if (existsSync('/run/systemd/system')) {
    say('starting the docker service');
    await run('systemctl', ['start', 'docker']);
    return waitForEngine(() => undefined);
  }
  await removeStalePidFiles();
  await mkdir(stateDir, { recursive: true });
  const log = openSync(logFile, 'a');
  const child = spawn('dockerd', [], { detached: true, stdio: ['ignore', log, log], cwd: '/' });
  let failure: string | undefined;
  child.once('error', (error) => {
    failure = error.message;
  });
  child.once('exit', (code, signal) => {
    failure = `it ended with ${signal ?? `exit ${code}`}`;
  });
  if (child.pid !== undefined) await rememberEngine(child.pid);
  say(`starting dockerd (log: ${logFile})`);
  // It must outlive this run, and must not hold it up when it hangs.
  child.unref();
  await waitForEngine(() => failure);
}

async function waitForEngine(failure: () => string | undefined): Promise<void> {
  const deadline = Date.now() + startTimeoutMs;
  while (!(await engineVersion())) {
    const reason =
      failure() ??
      (Date.now() > deadline ? `it does not answer after ${startTimeoutMs / 1000} s` : undefined);
    if (reason !== undefined)
      throw new TestbedError(
        [`dockerd did not start: ${reason}`, ...(await logTail())].join('\n'),
        `read ${logFile}`,
        2,
      );
    await sleep(200);
  }
}

async function logTail(): Promise<string[]> {
  return existsSync(logFile) ? lastLines(await readFile(logFile, 'utf8')) : [];
}

/**
 * After an unclean end these files may name a process id that now belongs to another program. dockerd looks only at
 * whether such a process lives, and then refuses to start or waits for a containerd that is not one.
 */
async function removeStalePidFiles(): Promise<void> {
  for (const file of [
    '/var/run/docker.pid',
    '/var/run/docker/containerd/containerd.pid',
    '/var/run/docker/containerd/docker-containerd.pid',
  ]) {
    const pid = await readFile(file, 'utf8').then(Number, () => undefined);
    if (pid === undefined) continue;
    const expected = basename(file) === 'docker.pid' ? 'dockerd' : 'containerd';
    if ((await programOf(pid)) !== expected) await rm(file, { force: true });
  }
}

async function programOf(pid: number): Promise<string | undefined> {
  return readFile(`/proc/${pid}/comm`, 'utf8').then(
    (comm) => comm.trim(),
    () => undefined,
  );
}

interface OwnEngine {
  pid: number;
  /** Field 22 of /proc/pid/stat: with it a reused process id is not taken for ours. */
  startTicks: string;
}

async function rememberEngine(pid: number): Promise<void> {
  const own: OwnEngine = { pid, startTicks: (await startTicks(pid)) ?? '' };
  await writeFile(ownFile, JSON.stringify(own));
}

async function startTicks(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}

/** Stops the dockerd that an earlier `up` started; any other is left alone. Returns whether there was one. */
export async function stopOwnEngine(): Promise<boolean> {
  const own = await readFile(ownFile, 'utf8').then(
    (text) => JSON.parse(text) as OwnEngine,
    () => undefined,
  );
  if (!own) return false;
  const isAlive = async () => (await startTicks(own.pid)) === own.startTicks;
  const wasAlive = await isAlive();
  if (wasAlive) {
    process.kill(own.pid, 'SIGTERM');
    const deadline = Date.now() + stopTimeoutMs;
    while (await isAlive()) {
      if (Date.now() > deadline)
        throw new TestbedError(`dockerd (pid ${own.pid}) does not end`, `read ${logFile}`);
      await sleep(200);
    }
  }
  await rm(ownFile, { force: true });
  return wasAlive;
}
