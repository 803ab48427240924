import { join } from 'node:path';
import { archivers, borg, borgEnvironment, restic, resticEnvironment } from '../archivers.ts';
import type { Scenario } from '../bench.ts';
import { mixedTree } from '../data/files.ts';
import { measure } from '../measure.ts';
import { project, shell } from '../project.ts';

const gzip = 'pkbackup verify, gzip';
const zstd = 'pkbackup verify, zstd';
const byHand = 'gzip -t; sha256sum -c';

export const verify: Scenario = {
  what: 'reading a whole backup and checking it',
  async run(bench) {
    const source = mixedTree(bench);
    const store = { kind: 'directory', path: source };
    const ofGzip = project(bench, 'verify-gzip', { data: { ...store, compression: 'gzip' } });
    const ofZstd = project(bench, 'verify-zstd', { data: { ...store, compression: 'zstd' } });
    for (const { pkbackup } of [ofGzip, ofZstd]) await pkbackup('backup', '--quiet');
    const others = archivers(bench, source).filter(({ name }) => name === restic || name === borg);
    for (const { prepare, run } of others) {
      await prepare?.();
      await run();
    }
    const out = (name: string) => join(bench.directory, 'out', name);
    const backups = join(ofGzip.directory, 'backups');
    await bench.compare(
      `Verifying a backup of ${bench.size} GB`,
      [
        { name: gzip, run: () => ofGzip.pkbackup('verify', 'data@latest', '--level', 'archive', '--quiet') },
        { name: zstd, run: () => ofZstd.pkbackup('verify', 'data@latest', '--level', 'archive', '--quiet') },
        {
          name: byHand,
          run: () => measure(shell('cd "$1" && gzip -t *.tar.gz && sha256sum --quiet -c *.sha256', backups)),
        },
        ...others.map(({ name }) => ({
          name: name.replace('first backup', 'check of all data'),
          run: () =>
            name === restic
              ? measure(['restic', 'check', '--read-data', '--no-cache', '--quiet'], {
                  env: resticEnvironment(out('restic')),
                })
              : measure(['borg', 'check', '--verify-data'], { env: borgEnvironment(out('borg')) }),
        })),
      ],
      [
        { figure: 'wallS', ours: gzip, theirs: byHand, atMost: 0.5 },
        { figure: 'cpuS', ours: gzip, theirs: byHand },
        { figure: 'wallS', ours: zstd, theirs: byHand },
        { figure: 'wallS', ours: zstd, theirs: restic.replace('first backup', 'check of all data') },
      ],
    );
  },
};
