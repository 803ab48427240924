// The processor time that the Docker Engine and all containers have used so far: what a copy through Docker costs is not in the
// processes of the command. Zero where this system does not say it.
import { readdirSync, readFileSync } from 'node:fs';

const ticksPerSecond = 100;
const engines = new Set(['dockerd', 'containerd']);

export function engineCpuSeconds(): number {
  return daemonSeconds() + containerSeconds();
}

function daemonSeconds(): number {
  return processes()
    .filter((pid) => engines.has(read(`/proc/${pid}/comm`).trim()))
    .reduce((sum, pid) => sum + secondsOf(pid), 0);
}

/** Of itself and of the children it has waited for (decompressors). */
function secondsOf(pid: string): number {
  const stat = read(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / ticksPerSecond;
}

/** Of the group above all containers, which keeps the sum of those that are gone. */
function containerSeconds(): number {
  const nanoseconds = read('/sys/fs/cgroup/cpuacct/docker/cpuacct.usage');
  if (nanoseconds !== '') return Number(nanoseconds) / 1e9;
  const files = ['/sys/fs/cgroup/docker/cpu.stat', '/sys/fs/cgroup/system.slice/cpu.stat'];
  for (const file of files) {
    const microseconds = /usage_usec (\d+)/.exec(read(file))?.[1];
    if (microseconds !== undefined) return Number(microseconds) / 1e6;
  }
  return 0;
}

function processes(): string[] {
  try {
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
