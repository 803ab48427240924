// A Neo4j server on this host, outside Docker: where its data lies, whether it runs, and how it is asked.
import { readFile, realpath } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { PkbackupError, systemCodeOf } from '../../errors.ts';
import { exists } from '../../owner.ts';
import { withoutSecrets } from '../../secret.ts';
import { isLocked } from '../file-locks.ts';
import { runHostProgram } from '../host-program.ts';
import type { HostContext, HostServer } from '../store.ts';
import type { Neo4jTarget } from './data.ts';
import { ownerOf } from './reown.ts';
import {
  type Asking,
  credentialsOf,
  type Neo4jServer,
  type Neo4jTools,
  queryDeadlineMs,
  waitUntilOnline,
} from './server.ts';

/** Between the program that starts it and the moment when it can be seen to run. */
const startingMs = 60_000;
const servingDeadlineMs = 600_000;

export const isOnHost = ({ container, volume }: Neo4jTarget): boolean =>
  container === undefined && volume === undefined;

/** Undefined for a target in Docker. */
export function hostServerOf(target: Neo4jTarget, { environment }: HostContext): HostServer | undefined {
  if (!isOnHost(target)) return undefined;
  return {
    name: nameOf(target),
    isRunning: () => isRunning(target),
    async untilServing(signal) {
      const server = await serverOnHost(target, { environment, signal });
      await waitUntilOnline(server, servingDeadlineMs).catch((error: unknown) => {
        // It asks for a password: so it serves.
        if (!(error instanceof PkbackupError) || error.code !== 'config') throw error;
      });
    },
  };
}

const nameOf = ({ home, data_path }: Neo4jTarget) => `Neo4j in "${data_path ?? home}"`;

export async function serverOnHost(target: Neo4jTarget, context: Asking): Promise<Neo4jServer> {
  const credentials = await credentialsOf(target, [], context);
  return { tools: await toolsOnHost(target, context), credentials, signal: context.signal };
}

async function toolsOnHost(target: Neo4jTarget, context: HostContext): Promise<Neo4jTools> {
  let aliveMs = performance.now();
  return {
    name: nameOf(target),
    seeLog: target.home === undefined ? 'the log of the server' : join(target.home, 'logs', 'neo4j.log'),
    address: target.address ?? (await addressOf(target)),
    run: async ([program, ...args], { env, signal }) =>
      runHostProgram([programOf(target, program), ...args], {
        environment: { ...environmentOf(target, context), ...env },
        deadlineMs: queryDeadlineMs,
        signal,
        owner: await ownerOf(await dataDirectoryOf(target)),
      }),
    async isUp() {
      if (await isRunning(target)) aliveMs = performance.now();
      return performance.now() - aliveMs < startingMs;
    },
  };
}

/** In the home that is configured, or to be found on the PATH. */
export const programOf = ({ home }: Neo4jTarget, program: string): string =>
  home === undefined ? program : join(home, 'bin', program);

export function environmentOf({ home }: Neo4jTarget, { environment }: HostContext): Record<string, string> {
  const base = Object.entries(withoutSecrets(environment)).filter(([name]) => !name.startsWith('NEO4J_'));
  return { ...Object.fromEntries(base), ...(home === undefined ? {} : { NEO4J_HOME: home }) };
}

/** What `data_path` says, else the server's own settings, else the usual place; links resolved. */
export async function dataDirectoryOf(target: Neo4jTarget): Promise<string> {
  const path = target.data_path ?? (await usualDirectoryOf(target));
  return realpath(path).catch(() => path);
}

async function usualDirectoryOf({ home = '' }: Neo4jTarget): Promise<string> {
  const said = (await settingOf(home, 'server.directories.data')) ?? 'data';
  return isAbsolute(said) ? said : join(home, said);
}

/** Where the logs of transactions are; inside of the data unless the settings say otherwise. */
export async function logDirectoryOf({ home = '' }: Neo4jTarget): Promise<string | undefined> {
  return settingOf(home, 'server.directories.transaction.logs.root');
}

async function addressOf({ home = '' }: Neo4jTarget): Promise<string> {
  const port = /:(\d+)$/.exec((await settingOf(home, 'server.bolt.listen_address')) ?? '')?.[1] ?? '7687';
  return `bolt://localhost:${port}`;
}

async function settingOf(home: string, name: string): Promise<string | undefined> {
  if (home === '') return undefined;
  const settings = (await readIfThere(join(home, 'conf', 'neo4j.conf'))) ?? '';
  const line = settings.split('\n').findLast((each) => each.trim().startsWith(`${name}=`));
  return line?.slice(line.indexOf('=') + 1).trim() || undefined;
}

/** As long as it runs it locks its data; before that, its process is there. */
export async function isRunning(target: Neo4jTarget): Promise<boolean> {
  const directory = await dataDirectoryOf(target);
  if ((await isItsOwn(target, directory)) && (await hasProcess(target))) return true;
  return (await isLocked(join(directory, 'databases', 'store_lock'))) ?? false;
}

/** A place beside has nothing to do with the server. */
async function isItsOwn(target: Neo4jTarget, directory: string): Promise<boolean> {
  if (target.data_path === undefined) return true;
  return (await dataDirectoryOf({ ...target, data_path: undefined })) === directory;
}

/** By the file that the server writes; a number that is used again for another program is none. */
async function hasProcess({ home = '' }: Neo4jTarget): Promise<boolean> {
  const directory = (await settingOf(home, 'server.directories.run')) ?? 'run';
  const file = isAbsolute(directory) ? directory : join(home, directory);
  const pid = Number(await readIfThere(join(file, 'neo4j.pid')));
  if (!Number.isInteger(pid) || pid <= 0 || !exists(pid)) return false;
  const command = await readIfThere(`/proc/${pid}/cmdline`);
  // One that has ended, and whose parent has not looked yet, has none.
  return command === undefined ? process.platform !== 'linux' : /neo4j/i.test(command);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ESRCH', 'EACCES'].includes(systemCodeOf(error) ?? '')) return undefined;
    throw error;
  }
}
