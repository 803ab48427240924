import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Scenario } from '../bench.ts';
import { repositoryOf } from '../data/repository.ts';
import { measure } from '../measure.ts';

const bare = 'node -e 0';
const cold = 'pkbackup list, 10000 backups, nothing remembered';
const warm = 'pkbackup list, 10000 backups';

export const list: Scenario = {
  what: 'listing 10 000 backups, for the first time and again',
  async run(bench) {
    const repository = repositoryOf(bench, 10_000);
    const cwd = bench.fresh('list');
    const command = [...bench.pkbackup, 'list', '--backup-dir', repository];
    const ways = [cold, warm].flatMap((ours) => {
      return (['wallS', 'cpuS'] as const).map((figure) => ({ figure, ours, theirs: bare, atMost: 3 }));
    });
    await bench.compare(
      'Listing 10 000 backups',
      [
        {
          name: cold,
          prepare: () => rmSync(join(repository, '.pkbackup', 'listing.cache'), { force: true }),
          run: () => measure(command, { cwd }),
        },
        { name: warm, run: () => measure(command, { cwd }) },
        { name: 'pkbackup list --json', run: () => measure([...command, '--json'], { cwd }) },
        { name: bare, run: () => measure([process.execPath, '-e', '0'], { cwd }) },
      ],
      ways,
      { warmUps: 1 },
    );
  },
};
