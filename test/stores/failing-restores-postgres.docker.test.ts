// Restores of PostgreSQL that fail, with a real server on a small disk.
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll } from 'vitest';
import type { Run } from '../../src/operations/run.ts';
import { requireTestbed } from '../../testbed/index.ts';
import { containerOf, makeContainer, stateOf, uniqueName } from '../docker/bed.ts';
import { makeSmallVolume } from '../faults/small-disk.ts';
import { reseal, withFile } from '../operations/sealed-backup.ts';
import { failingRestores } from './failing-restores.ts';
import { untilHealthy } from './fixtures/containers.ts';
import {
  ask,
  clientOf,
  environment,
  fingerprintOf,
  password,
  port,
  run as runSql,
  target,
  user,
} from './fixtures/postgres-server.ts';

beforeAll(() => requireTestbed('postgres'));

const diskBytes = 320 * 1024 * 1024;
const notStopped = 'none: the server is not stopped, so it has not to start or get healthy again';

failingRestores('a PostgreSQL', async () => {
  const disk = await makeSmallVolume(diskBytes);
  const name = uniqueName('postgres');
  const id = await makeContainer({
    image: 'pkbackup-test/postgres:17',
    name,
    volumes: { [disk.name]: '/var/lib/postgresql/data' },
    env: [
      `POSTGRES_USER=${user}`,
      `POSTGRES_PASSWORD=${password}`,
      'POSTGRES_DB=app',
      'POSTGRES_HOST_AUTH_METHOD=trust',
      'POSTGRES_INITDB_ARGS=--auth-local=scram-sha-256 --no-sync --wal-segsize=1',
    ],
    hostConfig: { PortBindings: { [port]: [{ HostIp: '127.0.0.1', HostPort: '' }] } },
    isStarted: false,
    more: { Cmd: ['postgres', '-c', 'fsync=off', '-c', 'max_wal_size=8MB', '-c', 'min_wal_size=2MB'] },
  });
  await containerOf(id).start();
  await untilHealthy(id);
  const { startedAt } = await stateOf(id);
  const killed =
    /terminating connection due to administrator command|server closed the connection|connection to server was lost/;

  return {
    store: { name: 'rows', kind: 'postgres', target: target({ id, name, volume: disk.name }) },
    environment,
    containers: [id],
    async put(content) {
      const rows = content === 'saved' ? 40_000 : 10;
      await runSql(id, [
        'DROP TABLE IF EXISTS items',
        `CREATE TABLE items AS SELECT g AS id, 'row ' || g AS body, repeat(md5(g::text), 4) AS filler FROM generate_series(1, ${rows}) g`,
        'CREATE INDEX ON items (filler)',
        'CHECKPOINT',
      ]);
    },
    look: async () => `${startedAt} ${await fingerprintOf(id, 'app')}`,
    names: async () => ask(id, 'SELECT datname FROM pg_database', 'postgres'),
    faults: {
      damaged: [
        {
          arrange: ({ backup }) =>
            reseal(backup, (tar) => withFile(tar, 'app.dump', (dump) => dump.subarray(0, -20_000))),
          exitCode: 4,
          message: /the dump of database "app" is not a whole dump/,
          state: 'proved',
        },
        {
          what: 'what only the server finds',
          arrange: ({ backup }) =>
            reseal(backup, (tar) =>
              withFile(tar, 'app.dump', (dump) => replaced(dump, '7777\trow 7777', '777x\trow 7777')),
            ),
          exitCode: 5,
          message: /invalid input syntax for type integer: "777x"/,
          state: 'staged',
        },
      ],
      dead: notStopped,
      sick: notStopped,
      full: [
        {
          what: 'seen before',
          arrange: async () => disk.fill(70e6),
          settle: () => disk.empty(),
          exitCode: 5,
          message:
            /about \d+\.\d MB are needed beside the present data, (69|70)\.\d MB are free; nothing was touched$/,
          state: 'proved',
        },
        {
          // Driven into it, the server would end, and not start again.
          what: 'seen while it is staged',
          async arrange({ run }) {
            const fill = async () => {
              disk.fill(60e6);
              await sleep(3000);
            };
            return { run: halfway(run, fill) };
          },
          settle: () => disk.empty(),
          exitCode: 5,
          message:
            /the disk of container ".*" is nearly full: \d+\.\d MB are free, and the server itself needs 67\.1 MB/,
          state: 'staged',
        },
      ],
      cut: [
        {
          what: 'while rows are copied into the new database',
          arrange: async ({ run }) => ({ run: halfway(run, () => kill(id, `query LIKE 'COPY %'`)) }),
          exitCode: 5,
          message: killed,
          state: 'staged',
        },
        {
          what: 'while names are changed',
          async arrange({ run }) {
            const docker = async () => {
              const real = await run.docker();
              let isFirst = true;
              const exec: typeof real.exec = async (on, options) => {
                const isRename = options.command.some((word) => word.includes('RENAME TO'));
                if (!isRename || !isFirst) return real.exec(on, options);
                isFirst = false;
                return whileLocked(id, () => real.exec(on, options));
              };
              return { ...real, exec };
            };
            return { run: { ...run, docker } };
          },
          exitCode: 5,
          message: killed,
          state: 'swapped',
        },
      ],
    },
  };
});

/** Ends the session of ours that does this, as soon as it does. */
async function kill(id: string, what: string): Promise<void> {
  using client = await clientOf(id, 'postgres');
  const sql = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name LIKE 'pkbackup-%' AND ${what} AND pid <> pg_backend_pid()`;
  while ((await client.query(sql)).length === 0) await sleep(5);
}

/** Before the second half of a dump is restored. */
function halfway(run: Run, then: () => Promise<void>): Run {
  const docker = async () => {
    const real = await run.docker();
    const execStream: typeof real.execStream = (id, options) => {
      const { command, stdin } = options;
      const isRestore = command[0] === 'pg_restore' && command.some((word) => word.startsWith('--dbname='));
      return real.execStream(id, isRestore && stdin ? { ...options, stdin: halfOf(stdin, then) } : options);
    };
    return { ...real, execStream };
  };
  return { ...run, docker };
}

async function* halfOf(source: AsyncIterable<Buffer>, then: () => Promise<void>): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of source) {
    yield chunk;
    const before = bytes;
    bytes += chunk.length;
    if (before < 2_000_000 && bytes >= 2_000_000) await then();
  }
}

/** Nobody can change a database meanwhile, so who tries is ended there. */
async function whileLocked<Result>(id: string, act: () => Promise<Result>): Promise<Result> {
  using client = await clientOf(id, 'postgres');
  await client.query('BEGIN; LOCK TABLE pg_database IN SHARE ROW EXCLUSIVE MODE');
  const [result] = await Promise.all([act(), kill(id, `wait_event_type = 'Lock'`)]);
  await client.query('ROLLBACK');
  return result;
}

function replaced(bytes: Buffer, from: string, to: string): Buffer {
  const at = bytes.indexOf(from);
  if (at < 0) throw new Error(`there is no ${JSON.stringify(from)} in it`);
  const copy = Buffer.from(bytes);
  copy.write(to, at, 'latin1');
  return copy;
}
