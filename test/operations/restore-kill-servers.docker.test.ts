// SIGKILL of the program at each step of a restore into a server that has its own way: FalkorDB, which is stopped for it,
// and PostgreSQL, which goes on. After the next command the data is wholly the old or wholly the new, and who writes can.
import process from 'node:process';
import Dockerode from 'dockerode';
import { beforeAll, describe, expect, test } from 'vitest';
import { requireTestbed } from '../../testbed/index.ts';
import { makeDirectory } from '../cli/program.ts';
import { inVolume, uniqueName, volumeNamed } from '../docker/bed.ts';
import { untilHealthy } from '../stores/fixtures/containers.ts';
import * as falkordb from '../stores/fixtures/falkordb-server.ts';
import * as postgres from '../stores/fixtures/postgres-server.ts';
import {
  expectHealed,
  type KillSubject,
  killedAfter,
  killedAtNote,
  killedSoonAfterNote,
  killedWhile,
  restoring,
  runIn,
  stepInJournal,
} from './restore-kills.ts';

/** Kills in the middle of some step; more with PKBACKUP_TEST_KILLS. */
const kills = Number(process.env.PKBACKUP_TEST_KILLS ?? 2);

beforeAll(() => requireTestbed('falkordb', 'postgres'));

interface Note {
  readonly name: string;
  /** For how long its step goes on, about. */
  readonly withinMs: number;
}

function killTests<Subject extends KillSubject>(
  start: () => Promise<Subject>,
  notes: readonly Note[],
): () => Subject {
  let subject: Subject;
  beforeAll(async () => {
    subject = await start();
  });

  test.each(notes.map(({ name }, index) => [name, index + 1] as const))('killed at "%s"', async (_, note) => {
    const pid = await killedAtNote(subject, note);
    const isProved = ['checked', 'kept'].includes(stepInJournal(subject) ?? '');
    await expectHealed(subject, [pid], isProved ? 'new' : 'old');
  });

  test('killed in the middle of a step', async () => {
    for (let round = 0; round < kills; round += 1) {
      const at = Math.floor(Math.random() * notes.length);
      const afterMs = 1 + Math.random() * (notes[at]?.withinMs ?? 0);
      const pid = await killedSoonAfterNote(subject, at + 1, afterMs);
      const step = stepInJournal(subject);
      await expectHealed(subject, [pid], step === 'staging' || step === 'swapping' ? 'old' : 'new');
    }
  });

  test('killed, and the next command, too', async () => {
    const first = await killedAtNote(subject, 2);
    const second = await killedAfter(subject, ['list'], 150 + Math.random() * 600);
    await expectHealed(subject, [first, second], 'old');
  });

  return () => subject;
}

/** Each look asks for a write, which a server that was frozen for the restore would make wait. */
const writeMs = 10_000;

async function withinMs<Result>(ms: number, what: string, act: () => Promise<Result>): Promise<Result> {
  const late = AbortSignal.timeout(ms);
  return await Promise.race([
    act(),
    new Promise<never>((_, reject) => {
      late.addEventListener('abort', () => reject(new Error(`${what}: no answer after ${ms} ms`)));
    }),
  ]);
}

async function startGraph(): Promise<KillSubject & { readonly server: falkordb.Falkordb }> {
  const server = await falkordb.startFalkordb({ hasPassword: true });
  const put = async (content: 'old' | 'new', nodes: number) => {
    await server.ask('FLUSHALL');
    await server.query(
      'knowledge',
      `UNWIND range(1, ${nodes}) AS n CREATE (:${content} {n: n})-[:IS]->(:${content})`,
    );
    await server.ask('SET', 'plain', content);
  };
  const cwd = makeDirectory({
    'pkbackup.yaml': `stores:\n  data: { kind: falkordb, container: ${server.name}, password_env: GRAPH_PASSWORD }\n`,
  });
  const subject = {
    cwd,
    server,
    container: server.id,
    environment: { GRAPH_PASSWORD: falkordb.password },
    reset: () => put('old', 300),
    async look() {
      await untilHealthy(server.id);
      await withinMs(writeMs, 'a write', () => server.ask('SET', 'written', 'now'));
      await server.ask('DEL', 'written');
      const nodes = await server.query('knowledge', 'MATCH (n) RETURN labels(n), count(n), sum(n.n)');
      const found = JSON.stringify([(nodes as unknown[])[1], await server.ask('GET', 'plain')]);
      expect([whole('old', 300), whole('new', 500)]).toContain(found);
      return found === whole('old', 300) ? 'old' : 'new';
    },
    names: async () => (await inVolume(server.volume, 'ls -A /v')).split('\n'),
  } as const;
  await put('new', 500);
  await backedUp(subject);
  await put('old', 300);
  return subject;
}

const whole = (label: string, nodes: number) =>
  JSON.stringify([[[`[${label}]`, nodes * 2, String((nodes * (nodes + 1)) / 2)]], label]);

async function backedUp(subject: KillSubject): Promise<void> {
  const made = await runIn(subject, ['backup']);
  expect(made.exitCode, made.stderr).toBe(0);
}

describe('a FalkorDB', () => {
  const subject = killTests(startGraph, [
    { name: 'staging', withinMs: 800 },
    { name: 'swapping', withinMs: 300 },
    { name: 'swapping, with what is held', withinMs: 800 },
    { name: 'checked', withinMs: 500 },
    { name: 'kept', withinMs: 300 },
  ]);

  test('a server that was frozen when pkbackup was killed lets writers go on after the next command', async () => {
    const { server } = subject();
    const isFrozen = async () => /client.pause/.test(String(await server.ask('INFO', 'commandstats')));
    for (let attempt = 0, step = ''; step !== 'staging'; attempt += 1) {
      // Once it is stopped, it is frozen no more.
      if (attempt > 10) throw new Error(`killed too late: ${step}`);
      await server.ask('CONFIG', 'RESETSTAT');
      const pid = await killedWhile(subject(), restoring, isFrozen, 0);
      step = stepInJournal(subject()) ?? '';
      await expectHealed(subject(), [pid], 'old');
    }
  });

  test.each([1, 2])('a restore beside, killed at note %i, leaves no volume', async (note) => {
    const volume = volumeNamed(uniqueName('beside'));
    const args = ['restore', 'data@1', '--to', volume, '--yes'];
    const pid = await killedAtNote(subject(), note, args);
    await expectHealed(subject(), [pid], 'old');
    await expect(new Dockerode().getVolume(volume).inspect()).rejects.toMatchObject({ statusCode: 404 });
  });
});

/** A table of another owner, whose role the restore has to make; and a setting of the database. */
async function startRows(): Promise<KillSubject> {
  const server = await postgres.startPostgres();
  const { id } = server;
  const states = new Map<string, 'old' | 'new'>();
  const known = new Set(['app', 'notes', 'postgres', 'template0', 'template1']);
  const print = async () => {
    const [app, notes] = [await postgres.fingerprintOf(id, 'app'), await postgres.fingerprintOf(id, 'notes')];
    const roles = await postgres.ask(
      id,
      `SELECT rolname || coalesce(rolconfig::text, '') FROM pg_roles WHERE oid >= 16384 ORDER BY 1`,
    );
    return `${app}\n${notes}\n${roles}`;
  };
  const fill = async (content: 'old' | 'new') => {
    for (const database of ['app', 'notes']) {
      await postgres.run(
        id,
        [
          'DROP TABLE IF EXISTS items',
          `CREATE TABLE items AS SELECT g AS id, '${content} ' || g AS body FROM generate_series(1, 5000) g`,
          'CREATE INDEX ON items (body)',
        ],
        database,
      );
    }
    if (content === 'new')
      await postgres.run(id, ['CREATE ROLE reader', 'ALTER TABLE items OWNER TO reader']);
    else await postgres.run(id, ['DROP ROLE IF EXISTS reader']);
    await postgres.run(id, [`ALTER DATABASE app SET work_mem = '${content === 'new' ? 8 : 16}MB'`]);
  };
  const subject: KillSubject = {
    cwd: makeDirectory({
      'pkbackup.yaml': `stores:\n  data: { kind: postgres, container: ${server.name}, password_env: PG_PASSWORD }\n`,
    }),
    container: id,
    environment: postgres.environment,
    reset: () => fill('old'),
    async look() {
      for (const database of ['app', 'notes']) {
        await postgres.run(id, ['CREATE TABLE written (n int)', 'DROP TABLE written'], database);
      }
      const found = states.get(await print());
      if (found === undefined) throw new Error(`neither the old nor the new data:\n${await print()}`);
      return found;
    },
    async names() {
      const names = await postgres.ask(id, 'SELECT datname FROM pg_database', 'postgres');
      expect(names.filter((name) => !known.has(name))).toEqual([]);
      return names;
    },
  };
  await postgres.run(id, ['CREATE DATABASE notes']);
  await fill('new');
  await backedUp(subject);
  states.set(await print(), 'new');
  await fill('old');
  states.set(await print(), 'old');
  return subject;
}

describe('a PostgreSQL', () => {
  killTests(startRows, [
    { name: 'staging', withinMs: 1500 },
    { name: 'swapping', withinMs: 400 },
    { name: 'checked', withinMs: 800 },
    { name: 'kept', withinMs: 300 },
  ]);
});
