// SIGKILL before every single change that a restore makes to the file system: after the next command the data is wholly the
// old or wholly the new, and what was replaced is a safety backup. The next command itself is killed everywhere, too.
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openRepository } from '../../src/repository/index.ts';
import { describeTree } from '../archive/hostile-tree.ts';
import { pkbackup, shim } from '../cli/program.ts';
import { killSweep, runKilled } from '../faults/kill-sweep.ts';

/** Every state of a killed restore, not only the two that matter most, for kills of the next command. */
const isThorough = process.env.PKBACKUP_TEST_KILLS !== undefined;
const root = fs.mkdtempSync(join(tmpdir(), 'pkbackup-restore-kill-'));
const cwd = join(root, 'work');
const repository = openRepository(join(cwd, 'backups'));
const journal = join(cwd, 'backups', '.pkbackup', 'journal');
const restoring = { program: shim, cwd, below: cwd };
const healing = { ...restoring, args: ['list', '--quiet'] };
afterAll(() => fs.rmSync(root, { recursive: true, force: true }));

interface Subject {
  readonly store: string;
  /** What is saved, then replaced by what is saved. */
  put(content: 'saved' | 'present'): void;
  /** What is there, apart from what a restore changes by being one. */
  look(): unknown;
}

const events: Subject = {
  store: 'events',
  put(content) {
    for (const suffix of ['', '-wal', '-shm']) fs.rmSync(join(cwd, `events.db${suffix}`), { force: true });
    const path = join(root, 'source.db');
    for (const suffix of ['', '-wal', '-shm']) fs.rmSync(`${path}${suffix}`, { force: true });
    const database = new DatabaseSync(path);
    database.exec('PRAGMA journal_mode = WAL; CREATE TABLE events (text)');
    database.prepare('INSERT INTO events VALUES (?)').run(content);
    // Copied while it is open: all of it is in the log only.
    for (const suffix of ['', '-wal', '-shm'])
      fs.copyFileSync(`${path}${suffix}`, join(cwd, `events.db${suffix}`));
    database.close();
  },
  look() {
    const database = new DatabaseSync(join(cwd, 'events.db'));
    try {
      return database.prepare('SELECT text FROM events').all();
    } finally {
      database.close();
    }
  },
};

const memory: Subject = {
  store: 'memory',
  put(content) {
    const place = join(cwd, 'memory');
    fs.rmSync(place, { recursive: true, force: true });
    fs.mkdirSync(join(place, 'sub', content), { recursive: true });
    for (const name of ['note', `only-${content}`, `sub/${content}/file`])
      fs.writeFileSync(join(place, name), content);
    // Kept by a pattern, under a name that is not UTF-8.
    if (content === 'present') fs.writeFileSync(bytes(place, 'kept-\xff\xfe.log'), 'kept');
    fs.writeFileSync(bytes(place, `\xe9-${content}`), content);
    fs.symlinkSync(content, join(place, 'link'));
    fs.chmodSync(place, content === 'saved' ? 0o750 : 0o705);
    fs.utimesSync(place, 0, content === 'saved' ? 1_400_000_000 : 1_300_000_000);
  },
  look: () => withoutTimes(describeTree(join(cwd, 'memory'))),
};

function bytes(directory: string, name: string): Buffer {
  return Buffer.concat([Buffer.from(`${directory}/`), Buffer.from(name, 'latin1')]);
}

/** Those of the files differ, since each round makes them anew. */
function withoutTimes(tree: ReturnType<typeof describeTree>) {
  return Object.entries(tree).map(([name, { mtime, ...entry }]) => ({
    name,
    ...entry,
    ...(name === '.' ? { mtime } : {}),
  }));
}

interface Both {
  readonly old: unknown;
  readonly new: unknown;
}

/** A directory that is gone, with the one around it. */
const lost: Subject = {
  store: 'lost',
  put(content) {
    fs.rmSync(join(cwd, 'around'), { recursive: true, force: true });
    if (content === 'present') return;
    fs.mkdirSync(join(cwd, 'around', 'lost'), { recursive: true });
    fs.writeFileSync(join(cwd, 'around', 'lost', 'note'), content);
  },
  look() {
    const around = join(cwd, 'around');
    return fs.existsSync(around) ? Object.keys(describeTree(around)) : 'nothing';
  },
};

const subjects = [events, memory, lost];
let pristine: string;

beforeAll(async () => {
  fs.mkdirSync(cwd);
  const stores = [
    'events: { kind: sqlite, path: ./events.db }',
    'memory: { kind: directory, path: ./memory, exclude: ["*.log"] }',
    'lost: { kind: directory, path: ./around/lost }',
  ];
  fs.writeFileSync(join(cwd, 'pkbackup.yaml'), `repository: ./backups\nstores:\n  ${stores.join('\n  ')}\n`);
  for (const subject of subjects) subject.put('saved');
  expect(await pkbackup(['backup', '--quiet'], { cwd })).toMatchObject({ exitCode: 0 });
  pristine = join(root, 'pristine');
  fs.cpSync(join(cwd, 'backups'), pristine, { recursive: true });
});

function reset(subject: Subject): void {
  for (const name of fs.readdirSync(cwd)) {
    if (name.startsWith('.')) fs.rmSync(join(cwd, name), { recursive: true });
  }
  subject.put('present');
  fs.rmSync(join(cwd, 'backups'), { recursive: true, force: true });
  fs.cpSync(pristine, join(cwd, 'backups'), { recursive: true });
}

const restoreArgs = ({ store }: Subject) => ['restore', `${store}@1`, '--yes', '--quiet'];

/** How the file system looks after a kill: where in the tale it was. */
function stateOf(): string {
  const parts = [cwd, join(cwd, 'around')].flatMap((directory) =>
    namesIn(directory)
      .filter((name) => name.startsWith('.'))
      .flatMap((name) => fs.readdirSync(join(directory, name)).sort()),
  );
  const steps = namesIn(journal)
    .filter((name) => name.endsWith('.restore.json') && !name.startsWith('.'))
    .map((name) => JSON.parse(fs.readFileSync(join(journal, name), 'utf8')).step);
  return `${steps.join()}: ${parts.join(' ')}`;
}

/** Gives which of the two is there. */
async function expectWhole(subject: Subject, both: Both, when: string, journalLeft: string[] = []) {
  const found = subject.look();
  const isNew = JSON.stringify(found) === JSON.stringify(both.new);
  if (!isNew) expect(found, when).toEqual(both.old);
  expect(workLeft(), when).toEqual([]);
  expect(
    namesIn(journal).filter((name) => !journalLeft.includes(name)),
    when,
  ).toEqual([]);
  expect(scratchLeft(), when).toEqual([]);
  const { backups, leftovers } = await repository.list();
  expect(leftovers, when).toEqual([]);
  // One, also where it was published and nobody had written that down.
  if (isNew && subject !== lost)
    expect(
      backups.filter(({ metadata }) => metadata.safety),
      when,
    ).toHaveLength(1);
  return isNew ? 'new' : 'old';
}

/** Of a restore: it lies beside the place. */
function workLeft(): string[] {
  const names = [...namesIn(cwd), ...namesIn(join(cwd, 'around'))];
  return names.filter((name) => name.startsWith('.'));
}

function namesIn(directory: string): string[] {
  return fs.existsSync(directory) ? fs.readdirSync(directory) : [];
}

/** Killed before there was a journal: nothing had been done. */
function unfinishedJournals(): string[] {
  const names = namesIn(journal);
  return names.filter((name) => name.startsWith('.') && !names.includes(name.slice(1, -'.partial'.length)));
}

/** One that does not say yet whose it is goes later. */
function scratchLeft(): string[] {
  const scratch = join(cwd, 'backups', '.pkbackup', 'scratch');
  return fs.readdirSync(scratch).filter((name) => fs.existsSync(join(scratch, name, 'owner.json')));
}

function find(states: ReadonlyMap<string, number>, pattern: string): [string, number] {
  const found = [...states].find(([state]) => new RegExp(`^${pattern}`).test(state));
  if (!found) throw new Error(`no kill was in "${pattern}"`);
  return found;
}

async function bothOf(subject: Subject): Promise<Both> {
  reset(subject);
  const old = subject.look();
  reset(subject);
  const restored = await pkbackup(restoreArgs(subject), { cwd });
  expect(restored, restored.stderr).toMatchObject({ exitCode: 0 });
  return { old, new: subject.look() };
}

describe.each(subjects)('a restore of $store', (subject) => {
  const states = new Map<string, number>();

  test('killed at any step, is undone or ended by the next command', { timeout: 900_000 }, async () => {
    const both = await bothOf(subject);
    const found = new Set<string>();
    const killed = await killSweep({
      ...restoring,
      args: restoreArgs(subject),
      reset: () => reset(subject),
      async inspect(killedAt) {
        const state = stateOf();
        const isKnown = states.has(state);
        if (killedAt !== undefined) states.set(state, killedAt);
        const left = unfinishedJournals();
        const healed = await pkbackup(healing.args, { cwd });
        expect(healed.exitCode, healed.stderr).toBe(0);
        found.add(await expectWhole(subject, both, `killed at ${killedAt}`, left));
        if (isKnown && killedAt !== undefined) return;
        const again = await pkbackup(restoreArgs(subject), { cwd });
        expect(again.exitCode, `after ${killedAt}: ${again.stderr}`).toBe(0);
        expect(subject.look()).toEqual(both.new);
      },
    });
    expect(killed).toBeGreaterThan(20);
    expect([...found].sort()).toEqual(['new', 'old']);
    for (const step of ['staging', 'swapping', 'checked', 'kept'])
      expect(
        [...states.keys()].some((state) => state.startsWith(step)),
        step,
      ).toBe(true);
  });

  test('is whole as well where the next command is killed, too', { timeout: 900_000 }, async () => {
    const both = await bothOf(subject);
    const wanted = isThorough ? [...states] : [find(states, 'swapping: .*previous'), find(states, 'checked')];
    for (const [state, firstKill] of wanted) {
      await killSweep({
        ...healing,
        reset() {
          reset(subject);
          runKilled({ ...restoring, args: restoreArgs(subject) }, firstKill);
        },
        async inspect(killedAt) {
          const left = unfinishedJournals();
          const healed = await pkbackup(healing.args, { cwd });
          expect(healed.exitCode, healed.stderr).toBe(0);
          await expectWhole(subject, both, `${state}, then killed at ${killedAt}`, left);
        },
      });
    }
  });
});
