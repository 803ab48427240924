import type { Scenario } from '../bench.ts';
import { measure } from '../measure.ts';
import { project } from '../project.ts';

const bare = 'node -e 0';
const times = 20;

export const startup: Scenario = {
  what: 'how long it takes to say something, beside Node that does nothing',
  async run(bench) {
    const { directory } = project(bench, 'startup', { memory: { kind: 'directory', path: './memory' } });
    const empty = bench.fresh('startup-empty');
    const run = (command: readonly string[], cwd = empty) => {
      return () => measure(command, { times, cwd }).then(({ wallS, cpuS }) => ({ wallS, cpuS }));
    };
    const version = 'pkbackup --version';
    const claims = (ours: string, atMost?: number) =>
      (['wallS', 'cpuS'] as const).map((figure) => ({
        figure,
        ours,
        theirs: bare,
        ...(atMost === undefined ? {} : { atMost }),
      }));
    await bench.compare(
      'Start-up',
      [
        { name: version, run: run([...bench.pkbackup, '--version']) },
        { name: 'pkbackup --help', run: run([...bench.pkbackup, '--help']) },
        { name: 'pkbackup list, nothing there', run: run([...bench.pkbackup, 'list']) },
        { name: 'pkbackup list, with a config file', run: run([...bench.pkbackup, 'list'], directory) },
        { name: bare, run: run([process.execPath, '-e', '0']) },
      ],
      [
        ...claims(version, 2),
        ...claims('pkbackup list, nothing there'),
        ...claims('pkbackup list, with a config file'),
      ],
      { warmUps: 1 },
    );
  },
};
