import type { Scenario } from '../bench.ts';
import { mixedTree } from '../data/files.ts';
import { project } from '../project.ts';

export const memory: Scenario = {
  what: 'memory at one, four and sixteen times the size',
  async run(bench) {
    const sizes = [1, 4, 16].map((times) => bench.size * times);
    const contestants = sizes.map((size) => {
      const path = mixedTree(bench, size);
      const { clear, pkbackup } = project(bench, `memory-${size}`, {
        data: { kind: 'directory', path, compression: 'zstd', compression_level: 1 },
      });
      return { name: `${size} GB`, prepare: clear, run: () => pkbackup('backup', '--quiet') };
    });
    const [first = '', ...others] = contestants.map(({ name }) => name);
    await bench.compare(
      'Memory of a backup',
      contestants,
      others.map((name) => ({ figure: 'peakMb', ours: name, theirs: first, atMost: 1.1 })),
    );
  },
};
