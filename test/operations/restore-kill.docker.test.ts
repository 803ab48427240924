// SIGKILL of the program at each step of a restore into a volume, and in the middle of the swap: who was stopped runs again
// and never sees a mixture, and after the next command the data is wholly the old or wholly the new, with nothing left of us.
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import Dockerode from 'dockerode';
import { beforeAll, describe, expect, test } from 'vitest';
import { makeDirectory, pkbackup } from '../cli/program.ts';
import { inVolume, logsOf, makeContainer, makeVolume, stateOf, uniqueName } from '../docker/bed.ts';
import { type Chroma, startChroma, untilHealthy } from '../stores/chroma-client.ts';
import {
  expectHealed,
  type KillSubject,
  killedAtNote,
  killedWhile,
  liveDocker,
  restoring,
  stepInJournal,
} from './restore-kills.ts';

/** Kills in the middle of a swap; more with PKBACKUP_TEST_KILLS. */
const swaps = Number(process.env.PKBACKUP_TEST_KILLS ?? 3);
const engine = new Dockerode();

interface Subject extends KillSubject {
  readonly volume: string;
}

const notes = ['staging', 'swapping', 'swapping, with what is held', 'checked', 'kept'];

/** Kills the program while a step works in the volume, after a moment. */
const killedWithin = (subject: Subject, args: readonly string[], step: string, delayMs: number) =>
  killedWhile(subject, args, () => runsStep(subject.volume, step), delayMs);

async function runsStep(volume: string, step: string): Promise<boolean> {
  const filters = { label: ['pkbackup.helper=1'], volume: [volume], status: ['running'] };
  const running = await engine.listContainers({ filters });
  return running.some(({ Command }) => Command.includes(` sh ${step} `));
}

async function untilRunning(id: string): Promise<void> {
  for (let attempt = 0; (await stateOf(id)).status !== 'running'; attempt += 1) {
    if (attempt > 300) throw new Error(`left ${(await stateOf(id)).status}`);
    await sleep(50);
  }
}

/** The whole of it, with what begins with a point. */
const namesIn = (volume: string) => async () => (await inVolume(volume, 'ls -A /v')).split('\n');

function killTests(
  start: () => Promise<Subject>,
  { rounds, within }: { rounds: number; within: number },
): void {
  let subject: Subject;
  beforeAll(async () => {
    subject = await start();
  });

  test.each(notes.map((name, index) => [name, index + 1] as const))('killed at "%s"', async (_, note) => {
    const pid = await killedAtNote(subject, note);
    await expectHealed(subject, [pid], note > 3 ? 'new' : 'old');
  });

  test('killed in the middle of the swap', async () => {
    for (let round = 0; round < rounds; round += 1) {
      const pid = await killedWithin(subject, restoring, 'swap', Math.random() * within);
      // Once the watchdog is first, once the next command.
      if (round % 2 === 0) await untilRunning(subject.container);
      const step = stepInJournal(subject);
      await expectHealed(subject, [pid], step === 'staging' || step === 'swapping' ? 'old' : 'new');
    }
  });

  test('killed in the middle of the swap, and again while it is undone', async () => {
    const pids = [
      await killedAtNote(subject, 3),
      await killedWithin(subject, ['list'], 'rollback', Math.random() * within),
    ];
    await expectHealed(subject, pids, 'old');
  });
}

async function startVolume(entries = 150): Promise<Subject> {
  const volume = await makeVolume();
  const modes = { old: '750', new: '705' };
  const put = (text: 'old' | 'new') =>
    inVolume(
      volume,
      `cd /v && rm -rf ..?* .[!.]* * && for n in $(seq ${entries}); do echo ${text} > e$n; done; chmod ${modes[text]} .`,
    );
  const look = `cat /v/* | sort | uniq -c | tr -s " \\n" " "`;
  const container = await makeContainer({
    entrypoint: ['dumb-init', '--'],
    command: ['bash', '-c', `${look}; echo; exec sleep 3600`],
    volumes: { [volume]: '/v' },
  });
  const cwd = makeDirectory({
    'pkbackup.yaml': `stores:\n  data: { kind: volume, volume: ${volume} }\n`,
  });
  await put('new');
  expect(await pkbackup(['backup', '--quiet'], { cwd, env: liveDocker })).toMatchObject({ exitCode: 0 });
  await put('old');
  return {
    cwd,
    volume,
    container,
    names: namesIn(volume),
    reset: async () => void (await put('old')),
    async look() {
      // What it found at each of its starts; the first was on the empty volume, and no other.
      const lines = (await logsOf(container)).split('\n').filter((line) => line.trim() !== '');
      const [isEmpty = [], found = []] = [true, false].map((wanted) =>
        lines.filter((line) => line.includes('No such file') === wanted),
      );
      expect(isEmpty).toHaveLength(1);
      for (const line of found) expect(line).toMatch(new RegExp(` ${entries} (old|new) $`));
      const present = await inVolume(volume, look);
      expect(present).toMatch(new RegExp(`^ ${entries} (old|new) $`));
      const which = present.includes('old') ? 'old' : 'new';
      expect((await inVolume(volume, 'stat -c %a /v')).trim()).toBe(modes[which]);
      return which;
    },
  };
}

async function startServer(): Promise<Subject> {
  const volume = await makeVolume();
  const name = uniqueName('chroma');
  const chroma = await startChroma(volume, { name });
  const cwd = makeDirectory({
    'pkbackup.yaml': `stores:\n  data: { kind: chromadb, container: ${name} }\n`,
  });
  // So that a swap takes a while.
  await inVolume(volume, 'for n in $(seq 60); do : > /v/e$n; done');
  const saved = await chroma.createCollection('saved');
  await chroma.add(saved, 0, 200);
  expect(await pkbackup(['backup', '--quiet'], { cwd, env: liveDocker })).toMatchObject({ exitCode: 0 });
  await untilHealthy(chroma.id);
  const more = await chroma.createCollection('more');
  const grow = async () => {
    await chroma.add(more, 0, 100);
    await chroma.add(saved, 200, 100);
  };
  await grow();
  return {
    cwd,
    volume,
    container: chroma.id,
    names: namesIn(volume),
    async reset() {
      const back = await pkbackup(['restore', 'data@pre-restore', '--yes', '--quiet'], {
        cwd,
        env: liveDocker,
      });
      expect(back.exitCode, back.stderr).toBe(0);
    },
    look: () => lookAt(chroma, saved, more),
  };
}

async function lookAt(chroma: Chroma, saved: string, more: string): Promise<'old' | 'new'> {
  await untilHealthy(chroma.id);
  const records = (await chroma.everything(saved)).size;
  const others = await chroma.count(more).catch(() => 0);
  expect([`${records} ${others}`]).toContain(records === 300 ? '300 100' : '200 0');
  return records === 300 ? 'old' : 'new';
}

describe('a volume', () => killTests(() => startVolume(), { rounds: swaps, within: 300 }));

test('a swap that nobody is held for is ended before it is undone', async () => {
  const subject = await startVolume(1500);
  await engine.getContainer(subject.container).stop();
  const pid = await killedWithin(subject, restoring, 'swap', 0);
  await expectHealed(subject, [pid], 'old', { isUsed: false });
});

describe('a ChromaDB', () => killTests(startServer, { rounds: Math.ceil(swaps / 3), within: 100 }));
