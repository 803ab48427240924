// Which processes have a file of this host open. Linux tells, also of processes in containers; elsewhere nobody does.
import { readdir, readFile, readlink, stat } from 'node:fs/promises';

export interface Holder {
  readonly pid: number;
  readonly program: string;
}

export interface Holders {
  readonly holders: readonly Holder[];
  /** Whether every process could be looked into: only for root on Linux. */
  readonly isComplete: boolean;
}

/** Processes that have the file open, by its inode: a container sees it under another path. */
export async function holdersOfFile(path: string): Promise<Holders> {
  const { dev, ino } = await stat(path, { bigint: true });
  return findHolders(async (link) => {
    const open = await stat(link, { bigint: true });
    return open.ino === ino && open.dev === dev;
  });
}

/** Processes that have something in the directory open or work in it, as far as they see it under this path. */
export async function holdersWithin(directory: string): Promise<Holders> {
  return findHolders(async (link) => {
    const open = await readlink(link);
    return open.startsWith(`${directory}/`);
  });
}

async function findHolders(isHeld: (link: string) => Promise<boolean>): Promise<Holders> {
  if (process.platform !== 'linux') return { holders: [], isComplete: false };
  const holders: Holder[] = [];
  let isComplete = true;
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    if (Number(pid) === process.pid) continue;
    const links = await readdir(`/proc/${pid}/fd`).catch((error) => {
      // A process that has just ended holds nothing.
      if (error.code !== 'ENOENT' && error.code !== 'ESRCH') isComplete = false;
      return [];
    });
    const paths = [...links.map((link) => `/proc/${pid}/fd/${link}`), `/proc/${pid}/cwd`];
    const held = await Promise.all(paths.map((path) => isHeld(path).catch(() => false)));
    if (held.includes(true)) holders.push({ pid: Number(pid), program: await programOf(pid) });
  }
  return { holders, isComplete };
}

async function programOf(pid: string): Promise<string> {
  return (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '?')).trim();
}

/** `node (pid 12) and 2 more`. */
export function holdersText(holders: readonly Holder[]): string {
  const [first] = holders;
  if (!first) return 'nobody';
  const more = holders.length > 1 ? ` and ${holders.length - 1} more` : '';
  return `${first.program} (pid ${first.pid})${more}`;
}
