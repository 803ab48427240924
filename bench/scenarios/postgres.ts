import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench, Scenario } from '../bench.ts';
import { docker, hasDocker } from '../docker.ts';
import { measure } from '../measure.ts';
import { project, shell, writesInto } from '../project.ts';

const image = 'pkbackup-test/postgres:17';
const ours = 'pkbackup, postgres';
const theirs = 'pg_dump -Fc';

export const postgres: Scenario = {
  what: 'a PostgreSQL database, backed up while it runs',
  async run(bench) {
    if (!hasDocker(bench, image)) return;
    const container = await startServer(bench);
    const { clear, pkbackup, sizeMb } = project(bench, 'postgres', {
      rows: { kind: 'postgres', container, user: 'postgres' },
    });
    await bench.compare(
      `A PostgreSQL database of ${bench.size} GB`,
      [
        {
          name: ours,
          prepare: clear,
          run: async () => ({ ...(await pkbackup('backup', '--quiet')), sizeMb: sizeMb() }),
        },
        {
          name: theirs,
          ...writesInto(join(bench.directory, 'out', 'pg_dump'), (out) =>
            shell(
              'docker exec "$1" pg_dump -U postgres -Fc bench > "$2"',
              container,
              join(out, 'bench.dump'),
            ),
          ),
        },
      ],
      [
        { figure: 'wallS', ours, theirs },
        { figure: 'cpuS', ours, theirs },
        { figure: 'sizeMb', ours, theirs },
      ],
    );
    docker('rm', '-f', '-v', container);
  },
};

async function startServer(bench: Bench): Promise<string> {
  const container = 'pkbackup-bench-postgres';
  docker('rm', '-f', '-v', container);
  docker(
    ...['run', '-d', '--name', container, '--label', 'pkbackup-bench=1', '-e', 'POSTGRES_PASSWORD=bench'],
    ...['-v', `${container}-data:/var/lib/postgresql/data`, image],
  );
  bench.say(`makes a database of ${bench.size} GB`);
  await untilServing(container);
  // 1100 bytes a row, half of them text.
  const rows = Math.round(bench.size * 900_000);
  sql(container, 'postgres', 'CREATE DATABASE bench');
  sql(container, 'bench', 'CREATE TABLE rows (id bigint PRIMARY KEY, title text, body text, at timestamptz)');
  sql(
    container,
    'bench',
    `INSERT INTO rows SELECT n, 'title ' || n,
       (SELECT string_agg(md5((n * 17 + k)::text) || ' the quick brown fox ', '') FROM generate_series(1, 18) k),
       now() FROM generate_series(1, ${rows}) n`,
  );
  sql(container, 'bench', 'CREATE INDEX ON rows (title); CHECKPOINT');
  return container;
}

function sql(container: string, database: string, text: string): void {
  docker('exec', container, 'psql', '-U', 'postgres', '-d', database, '-v', 'ON_ERROR_STOP=1', '-qc', text);
}

/** Twice in a row: while the image sets itself up there is a server that goes again. */
async function untilServing(container: string): Promise<void> {
  for (let good = 0, tries = 0; good < 3; tries += 1) {
    if (tries > 120) throw new Error('the PostgreSQL server does not come up');
    await sleep(500);
    try {
      await measure([
        'docker',
        'exec',
        container,
        'psql',
        '-U',
        'postgres',
        '-h',
        '127.0.0.1',
        '-c',
        'SELECT 1',
      ]);
      good += 1;
    } catch {
      good = 0;
    }
  }
}
