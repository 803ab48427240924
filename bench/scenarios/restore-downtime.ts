import { join } from 'node:path';
import type { Bench, Scenario } from '../bench.ts';
import type { Contestant, Figures } from '../contest.ts';
import { mixedTree } from '../data/files.ts';
import { type App, emptyVolume, hasDocker, helper, mountpointOf, startApp } from '../docker.ts';
import { measure } from '../measure.ts';
import { pollHttp } from '../polling-client.ts';
import { project, shell } from '../project.ts';

const ours = 'pkbackup restore';
const naive = 'stop, clear, tar xzf in a container, start';
const volume = 'pkbackup-bench-served';

export const restoreDowntime: Scenario = {
  what: 'a volume of twice the size that a container serves, restored in place: how long nothing answers',
  async run(bench) {
    if (!hasDocker(bench)) return;
    const gigabytes = bench.size * 2;
    const source = mixedTree(bench, gigabytes);
    emptyVolume(volume);
    await measure(['cp', '-a', `${source}/.`, mountpointOf(volume)]);
    const app = await startApp(volume);
    await bench.compare(
      `${gigabytes} GB restored in place`,
      [await ofOurs(bench, app), await ofNaive(bench, app, source)],
      [
        { figure: 'downtimeS', ours, theirs: naive, atMost: 0.1 },
        { figure: 'wallS', ours, theirs: naive },
      ],
    );
  },
};

async function ofOurs(bench: Bench, app: App): Promise<Contestant> {
  const { pkbackup } = project(bench, 'restore-downtime', {
    data: { kind: 'volume', volume, quiesce: 'stop' },
  });
  await pkbackup('backup', '--quiet');
  // What was there is thrown away by the other way, too.
  const args = ['restore', 'data@latest', '--yes', '--quiet', '--no-safety-backup'];
  return { name: ours, run: () => polled(app, () => pkbackup(...args)) };
}

async function ofNaive(bench: Bench, app: App, source: string): Promise<Contestant> {
  const archives = bench.fresh('restore-downtime-naive');
  await measure(['tar', '-C', source, '-czf', join(archives, 'a.tar.gz'), '.']);
  const clearAndExtract = 'find /data -mindepth 1 -delete && tar -C /data -xzf /backup/a.tar.gz';
  const command = shell(
    'app=$1; shift; docker stop "$app" && "$@" && docker start "$app"',
    app.container,
    ...helper([`${volume}:/data`, `${archives}:/backup`], ['sh', '-c', clearAndExtract]),
  );
  return { name: naive, run: () => polled(app, () => measure(command, { withEngine: true })) };
}

async function polled(app: App, run: () => Promise<Figures>): Promise<Figures> {
  const client = await pollHttp(app.port);
  const figures = await run();
  return { ...figures, downtimeS: await client.end() };
}
