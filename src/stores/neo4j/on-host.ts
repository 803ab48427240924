// A Neo4j server on this host, outside Docker: where its data lies, and whether it runs.
import { readFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { PkbackupError, systemCodeOf } from '../../errors.ts';
import { exists } from '../../owner.ts';
import { isLocked } from '../file-locks.ts';
import type { HostServer } from '../store.ts';
import type { Neo4jTarget } from './data.ts';

/** Undefined for a target in Docker. */
export function hostServerOf(target: Neo4jTarget): HostServer | undefined {
  if (target.container !== undefined || target.volume !== undefined) return undefined;
  const name = `Neo4j in "${target.home ?? target.data_path}"`;
  return {
    name,
    isRunning: () => isRunning(target),
    async untilServing() {
      if (!(await isRunning(target))) throw new PkbackupError('unhealthy', `${name} does not run`);
    },
  };
}

/** What `data_path` says, else the server's own settings, else the usual place. */
export async function dataDirectoryOf({ home = '', data_path }: Neo4jTarget): Promise<string> {
  if (data_path !== undefined) return data_path;
  const settings = (await readIfThere(join(home, 'conf', 'neo4j.conf'))) ?? '';
  const said = /^[ \t]*server\.directories\.data[ \t]*=[ \t]*(.+?)[ \t]*$/m.exec(settings)?.[1] ?? 'data';
  return isAbsolute(said) ? said : join(home, said);
}

/** As long as it runs it locks its data; before that, its process is there. */
async function isRunning(target: Neo4jTarget): Promise<boolean> {
  if (await hasProcess(target)) return true;
  return (await isLocked(join(await dataDirectoryOf(target), 'databases', 'store_lock'))) ?? false;
}

/** By the file that `neo4j start` writes; a number that is used again for another program is none. */
async function hasProcess({ home }: Neo4jTarget): Promise<boolean> {
  if (home === undefined) return false;
  const pid = Number(await readIfThere(join(home, 'run', 'neo4j.pid')));
  if (!Number.isInteger(pid) || pid <= 0 || !exists(pid)) return false;
  const command = await readIfThere(`/proc/${pid}/cmdline`);
  return command === undefined || /neo4j/i.test(command);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES'].includes(systemCodeOf(error) ?? '')) return undefined;
    throw error;
  }
}
