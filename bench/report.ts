// A contest as Markdown: the table of figures, and the ratios that are claimed, each beside its bound.
import { type Contest, ratioOf, type Spread, spreadOf } from './contest.ts';

export interface Claim {
  readonly figure: string;
  readonly ours: string;
  readonly theirs: string;
  /** Where there is a bound that is meant to hold. */
  readonly atMost?: number;
}

interface Column {
  readonly figure: string;
  readonly title: string;
  readonly format: (value: number) => string;
}

const seconds = (value: number) => (value < 1 ? `${(value * 1000).toFixed(0)} ms` : `${value.toFixed(2)} s`);
const megabytes = (value: number) => `${value.toFixed(value < 10 ? 1 : 0)} MB`;
const columns: readonly Column[] = [
  { figure: 'wallS', title: 'wall', format: seconds },
  { figure: 'cpuS', title: 'CPU', format: seconds },
  { figure: 'peakMb', title: 'memory', format: megabytes },
  { figure: 'sizeMb', title: 'archive', format: megabytes },
  { figure: 'downtimeS', title: 'downtime', format: seconds },
];

export function reportLines(title: string, contest: Contest, claims: readonly Claim[]): string[] {
  const used = columns.filter(({ figure }) => valuesOf(contest, figure).length > 0);
  const rows = contest.contestants.map((name) => [
    name,
    ...used.map((column) => cell(contest, name, column)),
  ]);
  const lines = ['', `### ${title}`, '', ...markdown(['', ...used.map((column) => column.title)], rows)];
  const present = claims.filter(
    ({ ours, theirs }) => contest.contestants.includes(ours) && contest.contestants.includes(theirs),
  );
  if (present.length === 0) return lines;
  const ratios = present.map((claim) => claimRow(contest, claim));
  return [...lines, '', ...markdown(['ratio', 'median', 'from - to', 'meant'], ratios)];
}

function valuesOf({ rounds }: Contest, figure: string): number[] {
  return [...rounds.values()].flat().flatMap((figures) => figures[figure] ?? []);
}

function cell({ rounds }: Contest, name: string, { figure, format }: Column): string {
  const values = (rounds.get(name) ?? []).flatMap((figures) => figures[figure] ?? []);
  return values.length === 0 ? '' : format(spreadOf(values).median);
}

function claimRow(contest: Contest, { figure, ours, theirs, atMost }: Claim): string[] {
  const ratio = ratioOf(contest, ours, theirs, figure);
  const title = columns.find((column) => column.figure === figure)?.title ?? figure;
  return [
    `${title}: ${ours} / ${theirs}`,
    ratio.median.toFixed(2),
    `${ratio.least.toFixed(2)} - ${ratio.most.toFixed(2)}`,
    meant(ratio, atMost),
  ];
}

function meant({ median }: Spread, atMost: number | undefined): string {
  if (atMost === undefined) return '';
  return `at most ${atMost}${median <= atMost ? '' : ' **not reached**'}`;
}

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(3, ...all.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) => {
    return `| ${widths.map((width, column) => (row[column] ?? '').padEnd(width)).join(' | ')} |`;
  };
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return [line(head), rule, ...rows.map(line)];
}
