import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Bench, Scenario } from '../bench.ts';
import type { Contestant } from '../contest.ts';
import { mixedTree } from '../data/files.ts';
import { project, shell, writesInto } from '../project.ts';

const ours = 'pkbackup, sqlite';
const copy = 'sqlite3 .backup';
const packed = 'sqlite3 .backup; pigz -6';

export const sqlite: Scenario = {
  what: 'a SQLite file (a sixth of the size)',
  async run(bench) {
    const path = join(mixedTree(bench), 'rows.sqlite3');
    if (!existsSync(path)) return;
    const { clear, pkbackup, sizeMb } = project(bench, 'sqlite', { rows: { kind: 'sqlite', path } });
    await bench.compare(
      'A SQLite file',
      [
        {
          name: ours,
          prepare: clear,
          run: async () => ({ ...(await pkbackup('backup', '--quiet')), sizeMb: sizeMb() }),
        },
        ...others(bench, path),
      ],
      [
        { figure: 'wallS', ours, theirs: packed },
        { figure: 'cpuS', ours, theirs: packed },
        { figure: 'sizeMb', ours, theirs: packed },
      ],
    );
  },
};

function others(bench: Bench, path: string): Contestant[] {
  if (!bench.has('sqlite3')) return [];
  const out = (name: string) => join(bench.directory, 'out', name);
  const script = 'sqlite3 "$1" ".backup \'$2\'"';
  const file = (to: string) => join(to, 'copy.sqlite3');
  return [
    { name: copy, ...writesInto(out('sqlite-copy'), (to) => shell(script, path, file(to))) },
    ...(bench.has('pigz')
      ? [
          {
            name: packed,
            ...writesInto(out('sqlite-packed'), (to) => shell(`${script} && pigz -6 "$2"`, path, file(to))),
          },
        ]
      : []),
  ];
}
