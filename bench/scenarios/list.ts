import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Scenario } from '../bench.ts';
import { repositoryOf } from '../data/repository.ts';
import { measure } from '../measure.ts';

const bare = 'node -e 0';
const cold = 'pkbackup list, 10000 backups, nothing remembered';
const warm = 'pkbackup list, 10000 backups';
const all = 'pkbackup list --all';

export const list: Scenario = {
  what: 'listing 10 000 backups, for the first time and again',
  async run(bench) {
    const repository = repositoryOf(bench, 10_000);
    const cwd = bench.fresh('list');
    const command = [...bench.pkbackup, 'list', '--backup-dir', repository];
    const claims = (ours: string, atMost?: number) =>
      (['wallS', 'cpuS'] as const).map((figure) => {
        return { figure, ours, theirs: bare, ...(atMost === undefined ? {} : { atMost }) };
      });
    const forget = () => {
      for (const name of ['listing.cache', 'overview.cache'])
        rmSync(join(repository, '.pkbackup', name), { force: true });
    };
    await bench.compare(
      'Listing 10 000 backups',
      [
        {
          name: cold,
          prepare: forget,
          run: () => measure(command, { cwd }),
        },
        { name: warm, run: () => measure(command, { cwd }) },
        { name: all, run: () => measure([...command, '--all'], { cwd }) },
        { name: 'pkbackup list --json', run: () => measure([...command, '--json'], { cwd }) },
        { name: bare, run: () => measure([process.execPath, '-e', '0'], { cwd }) },
      ],
      [...claims(warm, 3), ...claims(cold), ...claims(all)],
      { warmUps: 1 },
    );
  },
};
