// Who holds something, in such a way that another process can tell later whether that one still lives. A process id alone
// will not do: it is used again, after a restart of the machine at the latest.
import { readFileSync } from 'node:fs';
import { hostname, uptime } from 'node:os';
import process from 'node:process';
import { systemCodeOf } from './errors.ts';

export interface Owner {
  readonly host: string;
  readonly pid: number;
  /** Milliseconds since 1970. */
  readonly since: number;
  /** Of the process, in the system's own units; missing where the system does not say it. */
  readonly startTime?: string;
}

const clockMarginMs = 60_000;

/** As a file that was read has it. */
export function asOwner({
  startTime,
  ...known
}: Omit<Owner, 'startTime'> & { startTime?: string | undefined }): Owner {
  return startTime === undefined ? known : { ...known, startTime };
}

export function thisProcess(): Owner {
  return ownerOf(process.pid);
}

/** One that lives on this host now. */
export function ownerOf(pid: number): Owner {
  const startTime = startTimeOf(pid);
  const owner = { host: hostname(), pid, since: Date.now() };
  return startTime === undefined ? owner : { ...owner, startTime };
}

/** Of an owner on another host nothing is known here: it counts as alive. */
export function isAlive(owner: Owner): boolean {
  if (owner.host !== hostname()) return true;
  if (!exists(owner.pid)) return false;
  // The surer sign; the clock may have been set since.
  if (owner.startTime !== undefined) return startTimeOf(owner.pid) === owner.startTime;
  return owner.since >= Date.now() - uptime() * 1000 - clockMarginMs;
}

/** Whether there is such a process on this machine. */
export function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCodeOf(error) === 'EPERM';
  }
}

/** Field 22 of /proc/<pid>/stat, counted behind the name, which may hold anything; a zombie is dead. */
function startTimeOf(pid: number): string | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? 'ended' : fields[19];
  } catch {
    return undefined;
  }
}
