import { join } from 'node:path';
import { archivers, borg, restic, tarPigz, tarZstd } from '../archivers.ts';
import type { Bench, Scenario } from '../bench.ts';
import type { Contestant, Figures } from '../contest.ts';
import { mixedTree } from '../data/files.ts';
import { type App, hasDocker, helper, mountpointOf, startApp, volumeOf } from '../docker.ts';
import { pollHttp } from '../polling-client.ts';
import { type Project, project, shell, writesInto } from '../project.ts';

const gzip = 'pkbackup, gzip -6';
const zstd = 'pkbackup, zstd -3';
const throughEngine = 'pkbackup, gzip -6, direct_read: false';
const scripts = 'the scripts: stop, tar czf in a container, start';
const rawCopy = 'stop, raw copy through the Engine, start';

export const backup: Scenario = {
  what: 'a volume of vectors and text that a container serves, stopped for the copy',
  async run(bench) {
    const source = mixedTree(bench);
    const inDocker = hasDocker(bench)
      ? await contestants(bench, volumeOf(source, `mixed-${bench.size}`))
      : undefined;
    const tree = inDocker?.tree ?? source;
    await bench.compare(
      `A volume of ${bench.size} GB, mixed`,
      [...(inDocker?.contestants ?? []), ...archivers(bench, tree)],
      [
        { figure: 'wallS', ours: gzip, theirs: scripts, atMost: 0.45 },
        { figure: 'wallS', ours: gzip, theirs: tarPigz, atMost: 1 },
        { figure: 'wallS', ours: zstd, theirs: tarZstd, atMost: 1.15 },
        { figure: 'wallS', ours: zstd, theirs: restic, atMost: 1 },
        { figure: 'wallS', ours: zstd, theirs: borg },
        { figure: 'cpuS', ours: gzip, theirs: tarPigz },
        { figure: 'cpuS', ours: zstd, theirs: tarZstd },
        { figure: 'downtimeS', ours: gzip, theirs: scripts, atMost: 0.2 },
        { figure: 'downtimeS', ours: gzip, theirs: rawCopy, atMost: 1.25 },
        { figure: 'downtimeS', ours: throughEngine, theirs: rawCopy, atMost: 1.25 },
        { figure: 'wallS', ours: throughEngine, theirs: scripts, atMost: 0.45 },
        { figure: 'sizeMb', ours: gzip, theirs: tarPigz },
        { figure: 'sizeMb', ours: zstd, theirs: tarZstd },
      ],
      { tree },
    );
  },
};

async function contestants(
  bench: Bench,
  volume: string,
): Promise<{ tree: string; contestants: Contestant[] }> {
  const app = await startApp(volume);
  const store = { kind: 'volume', volume, quiesce: 'stop' };
  const { prepare, run } = writesInto(
    join(bench.directory, 'out', 'scripts'),
    (out) =>
      shell(
        'app=$1; shift; docker stop "$app" && "$@" && docker start "$app"',
        app.container,
        ...helper(
          [`${volume}:/data`, `${out}:/backup`],
          ['tar', '-C', '/data', '-czf', '/backup/a.tar.gz', '.'],
        ),
      ),
    { withEngine: true },
  );
  return {
    tree: mountpointOf(volume),
    contestants: [
      ours(
        gzip,
        app,
        project(bench, 'gzip', { app: { ...store, compression: 'gzip', compression_level: 6 } }),
      ),
      ours(
        zstd,
        app,
        project(bench, 'zstd', { app: { ...store, compression: 'zstd', compression_level: 3 } }),
      ),
      ours(
        throughEngine,
        app,
        project(
          bench,
          'engine',
          { app: { ...store, compression: 'gzip', compression_level: 6 } },
          { direct_read: false },
        ),
      ),
      { name: scripts, prepare, run: () => polled(app, run) },
      ofRawCopy(bench, app),
    ],
  };
}

function ours(name: string, app: App, { pkbackup, clear, sizeMb }: Project): Contestant {
  return {
    name,
    prepare: clear,
    run: () => polled(app, async () => ({ ...(await pkbackup('backup', '--quiet')), sizeMb: sizeMb() })),
  };
}

/** What any copy through the Engine takes, and nothing else. */
function ofRawCopy(bench: Bench, app: App): Contestant {
  const copy = writesInto(
    join(bench.directory, 'out', 'raw'),
    (out) =>
      shell(
        'docker stop "$1" && docker cp "$1:/data/." - > "$2" && docker start "$1"',
        app.container,
        join(out, 'a.tar'),
      ),
    { withEngine: true },
  );
  return { name: rawCopy, prepare: copy.prepare, run: () => polled(app, copy.run) };
}

async function polled(app: App, run: () => Promise<Figures>): Promise<Figures> {
  const client = await pollHttp(app.port);
  const figures = await run();
  return { ...figures, downtimeS: await client.end() };
}
