import type { Scenario } from '../bench.ts';
import { smallFiles } from '../data/files.ts';
import { compareHot } from '../hot-volume.ts';

export const small: Scenario = {
  what: '200 000 small files (for each gigabyte)',
  async run(bench) {
    const count = Math.round(200_000 * bench.size);
    const data = { name: `small-${count}`, directory: smallFiles(bench, count) };
    await compareHot(bench, `${count} files of up to 4 kB`, data, { gzip: 1 });
  },
};
