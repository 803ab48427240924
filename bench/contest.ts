// Several ways to do the same, one after the other and again, so that what the machine does meanwhile meets all of them alike.
// What is compared is the ratio within a round; its spread says how far it can be trusted.
import { spawnSync } from 'node:child_process';

/** Figures of one run, by name: `wallS`, `cpuS`, `peakMb`, `sizeMb`, `downtimeS` ... */
export type Figures = Readonly<Record<string, number>>;

export interface Contestant {
  readonly name: string;
  /** Not measured. */
  readonly prepare?: () => void | Promise<void>;
  readonly run: () => Promise<Figures>;
}

export interface Contest {
  readonly contestants: readonly string[];
  /** By contestant, one for each round. */
  readonly rounds: ReadonlyMap<string, readonly Figures[]>;
}

export interface ContestOptions {
  readonly runs: number;
  readonly warmUps?: number;
  /** Read before each run: else the first one of a round pays for what the system has put out of its cache meanwhile. */
  readonly tree?: string;
  readonly say: (line: string) => void;
}

export async function contest(contestants: readonly Contestant[], options: ContestOptions): Promise<Contest> {
  const rounds = new Map<string, Figures[]>(contestants.map(({ name }) => [name, []]));
  const warmUps = options.warmUps ?? 0;
  for (let round = 0; round < options.runs + warmUps; round += 1) {
    for (const { name, prepare, run } of contestants) {
      await prepare?.();
      // What an earlier one has written must not be waited for by a later one.
      spawnSync('sync');
      if (options.tree !== undefined) readAll(options.tree);
      const figures = await run();
      if (round < warmUps) continue;
      rounds.get(name)?.push(figures);
      options.say(`  ${round - warmUps + 1}/${options.runs}  ${name}: ${shown(figures)}`);
    }
  }
  return { contestants: contestants.map(({ name }) => name), rounds };
}

/** Through a pipe, because tar reads no file where it writes to /dev/null itself. */
function readAll(tree: string): void {
  spawnSync('sh', ['-c', 'tar -C "$1" -cf - . | cat > /dev/null', 'sh', tree]);
}

function shown(figures: Figures): string {
  return Object.entries(figures)
    .map(([name, value]) => `${name} ${Number(value.toPrecision(3))}`)
    .join('  ');
}

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (index: number) => sorted[index] ?? Number.NaN;
  const middle = (sorted.length - 1) / 2;
  return {
    median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2,
    least: at(0),
    most: at(sorted.length - 1),
  };
}

/** Of one figure, round by round. */
export function ratioOf({ rounds }: Contest, a: string, b: string, figure: string): Spread {
  const others = rounds.get(b) ?? [];
  const pairs = (rounds.get(a) ?? []).map((ours, round) => {
    return (ours[figure] ?? Number.NaN) / (others[round]?.[figure] ?? Number.NaN);
  });
  return spreadOf(pairs.filter(Number.isFinite));
}
