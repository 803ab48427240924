import type { Scenario } from '../bench.ts';
import { incompressible } from '../data/files.ts';
import { compareHot } from '../hot-volume.ts';

export const incompressibleData: Scenario = {
  what: 'data that cannot be compressed: photos, archives, what is encrypted',
  async run(bench) {
    const data = { name: `incompressible-${bench.size}`, directory: incompressible(bench) };
    await compareHot(bench, `${bench.size} GB that cannot be compressed`, data, {});
  },
};
