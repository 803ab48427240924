// One run of a command as a whole: wall time, processor time of all its processes and of the Docker Engine meanwhile, and the
// memory of all its processes at the worst moment. Linux says all of it in /proc; elsewhere only the wall time is known.
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import process from 'node:process';
import { text } from 'node:stream/consumers';
import { engineCpuSeconds } from './engine-cpu.ts';

export type Measured = {
  readonly wallS: number;
  /** Of the command and its children, and of the Engine while it ran where it is asked for. */
  readonly cpuS: number;
  readonly peakMb: number;
};

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Runs so often; the figures are of one. For what is over in a few milliseconds. */
  readonly times?: number;
  /** The Engine works for it, too. */
  readonly withEngine?: boolean;
}

/** In a shell, because its `times` says what children used; the command itself is a list. */
const wrapper =
  'n=$1; shift; code=0; i=0; while [ $i -lt $n ]; do "$@" || code=$?; i=$((i+1)); done; times >&3; exit $code';
const sampleMs = 20;

/** Throws with what the command printed where it fails. */
export async function measure(command: readonly string[], options: RunOptions = {}): Promise<Measured> {
  const runs = options.times ?? 1;
  const engineSeconds = () => (options.withEngine ? engineCpuSeconds() : 0);
  const engineBefore = engineSeconds();
  const startedMs = performance.now();
  const child = spawn('sh', ['-c', wrapper, 'sh', String(runs), ...command], {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  const memory = watchMemory(child.pid ?? 0);
  const [stdout, stderr, times, code] = await Promise.all([
    drain(child.stdio[1]),
    drain(child.stdio[2]),
    drain(child.stdio[3]),
    new Promise<number>((resolve) => child.on('close', (exitCode) => resolve(exitCode ?? 1))),
  ]);
  const wallS = (performance.now() - startedMs) / 1000 / runs;
  const peakMb = memory.end();
  if (code !== 0) {
    throw new Error(`exit ${code}: ${command.join(' ')}\n${(stderr + stdout).slice(-2000)}`);
  }
  const cpuS = (childSeconds(times) + engineSeconds() - engineBefore) / runs;
  return { wallS, cpuS, peakMb };
}

async function drain(stream: unknown): Promise<string> {
  return stream === null || stream === undefined ? '' : text(stream as NodeJS.ReadableStream);
}

/** The second line of `times`: user and system time of what the shell has waited for. */
function childSeconds(times: string): number {
  const line = times.trim().split('\n')[1] ?? '';
  return [...line.matchAll(/(\d+)m([\d.]+)s/g)].reduce(
    (sum, [, m, s]) => sum + Number(m) * 60 + Number(s),
    0,
  );
}

function watchMemory(root: number): { end(): number } {
  let peakKb = 0;
  const sample = () => {
    let nowKb = 0;
    let largestKb = 0;
    for (const pid of descendants(root)) {
      const status = read(`/proc/${pid}/status`);
      nowKb += Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0);
      largestKb = Math.max(largestKb, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0));
    }
    peakKb = Math.max(peakKb, nowKb, largestKb);
  };
  const timer = setInterval(sample, sampleMs);
  return {
    end: () => {
      clearInterval(timer);
      return (peakKb * 1024) / 1e6;
    },
  };
}

function descendants(pid: number): number[] {
  const children = tasksOf(pid)
    .flatMap((task) => read(`/proc/${pid}/task/${task}/children`).split(' '))
    .filter(Boolean)
    .map(Number);
  return children.flatMap((child) => [child, ...descendants(child)]);
}

function tasksOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
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
