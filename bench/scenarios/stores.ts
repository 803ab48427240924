import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Scenario } from '../bench.ts';
import { randomOf } from '../data/random.ts';
import { project } from '../project.ts';

const one = 'one store';
const ten = 'ten stores';

export const stores: Scenario = {
  what: 'what each further small store in a run costs',
  async run(bench) {
    const trees = bench.fresh('stores-data');
    const names = Array.from({ length: 10 }, (_, at) => `store${at}`);
    const random = randomOf('stores');
    for (const name of names) {
      mkdirSync(join(trees, name));
      writeFileSync(join(trees, name, 'a.bin'), random.bytes(1e6));
    }
    const storesOf = (some: readonly string[]) =>
      Object.fromEntries(some.map((name) => [name, { kind: 'directory', path: join(trees, name) }]));
    const contestantOf = (title: string, some: readonly string[]) => {
      const { clear, pkbackup } = project(bench, title.replaceAll(' ', '-'), storesOf(some));
      return { name: title, prepare: clear, run: () => pkbackup('backup', '--quiet') };
    };
    await bench.compare(
      'Directories of 1 MB',
      [contestantOf(one, names.slice(0, 1)), contestantOf(ten, names)],
      [
        { figure: 'wallS', ours: ten, theirs: one },
        { figure: 'cpuS', ours: ten, theirs: one },
      ],
      { warmUps: 1 },
    );
  },
};
