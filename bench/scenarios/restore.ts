import { join } from 'node:path';
import { archivers, borg, borgEnvironment, restic, resticEnvironment, tarPigz } from '../archivers.ts';
import type { Bench, Scenario } from '../bench.ts';
import type { Contestant } from '../contest.ts';
import { mixedTree } from '../data/files.ts';
import { emptyVolume, hasDocker, helper, volumeOf } from '../docker.ts';
import { measure } from '../measure.ts';
import { type Project, project, shell, writesInto } from '../project.ts';

const gzip = 'pkbackup restore, gzip';
const zstd = 'pkbackup restore, zstd';
const scripts = 'tar xzf in a container';

export const restore: Scenario = {
  what: 'a volume put into another, empty one',
  async run(bench) {
    const source = mixedTree(bench);
    if (!hasDocker(bench)) return;
    const volume = volumeOf(source, `mixed-${bench.size}`);
    const store = { kind: 'volume', volume, quiesce: 'none' };
    const ofGzip = project(bench, 'restore-gzip', { data: { ...store, compression: 'gzip' } });
    const ofZstd = project(bench, 'restore-zstd', { data: { ...store, compression: 'zstd' } });
    for (const { pkbackup } of [ofGzip, ofZstd]) await pkbackup('backup', '--quiet');
    await bench.compare(
      `${bench.size} GB restored into an empty volume`,
      [
        ours(gzip, ofGzip),
        ours(zstd, ofZstd),
        ofScripts(bench, source),
        ...(await ofArchivers(bench, source)),
      ],
      [
        { figure: 'wallS', ours: gzip, theirs: scripts, atMost: 0.8 },
        { figure: 'wallS', ours: zstd, theirs: scripts, atMost: 0.8 },
        { figure: 'wallS', ours: zstd, theirs: 'restic restore' },
        { figure: 'wallS', ours: zstd, theirs: 'borg extract' },
      ],
    );
    emptyVolume('pkbackup-bench-target');
  },
};

function ours(name: string, { pkbackup }: Project): Contestant {
  return {
    name,
    prepare: () => {
      emptyVolume('pkbackup-bench-target');
    },
    run: () => pkbackup('restore', 'data@latest', '--to', 'pkbackup-bench-target', '--yes', '--quiet'),
  };
}

function ofScripts(bench: Bench, source: string): Contestant {
  const archives = bench.fresh('restore-scripts');
  let isMade = false;
  return {
    name: scripts,
    prepare: async () => {
      emptyVolume('pkbackup-bench-target');
      if (!isMade) await measure(['tar', '-C', source, '-czf', join(archives, 'a.tar.gz'), '.']);
      isMade = true;
    },
    run: () =>
      measure(
        helper(
          ['pkbackup-bench-target:/data', `${archives}:/backup`],
          ['tar', '-C', '/data', '-xzf', '/backup/a.tar.gz'],
        ),
        { withEngine: true },
      ),
  };
}

/** Into a directory of the same file system: these know no volumes. */
async function ofArchivers(bench: Bench, source: string): Promise<Contestant[]> {
  const out = (name: string) => join(bench.directory, 'out', name);
  const present = archivers(bench, source).filter(({ name }) => [restic, borg, tarPigz].includes(name));
  for (const { prepare, run } of present) {
    await prepare?.();
    await run();
  }
  const isHere = (wanted: string) => present.some(({ name }) => name === wanted);
  const env = { ...resticEnvironment(out('restic')), ...borgEnvironment(out('borg')) };
  const into = (name: string, command: (to: string) => readonly string[], cwd?: string): Contestant => ({
    name,
    prepare: writesInto(out('target'), command).prepare,
    run: () => measure(command(out('target')), { env, ...(cwd === undefined ? {} : { cwd }) }),
  });
  return [
    ...(isHere(tarPigz)
      ? [
          into('pigz -d | tar x', (to) =>
            shell('pigz -dc "$1" | tar -C "$2" -xf -', join(out('pigz'), 'a.tar.gz'), to),
          ),
        ]
      : []),
    ...(isHere(restic)
      ? [
          into('restic restore', (to) => [
            'restic',
            'restore',
            '--no-cache',
            '--quiet',
            'latest',
            '--target',
            to,
          ]),
        ]
      : []),
    ...(isHere(borg) ? [into('borg extract', () => ['borg', 'extract', '::first'], out('target'))] : []),
  ];
}
