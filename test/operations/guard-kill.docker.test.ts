// SIGKILL of pkbackup after each note in the journal of a guard: recover says what is, and does what is right.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { beforeEach, expect, test } from 'vitest';
import type { Ran } from '../cli/program.ts';
import {
  ending,
  expectState,
  recreate,
  runPkbackup,
  type Subject,
  startPkbackup,
  startSubject,
} from './guard-subject.ts';

const hook = pathToFileURL(join(import.meta.dirname, '../faults/kill-at-journal.mjs')).href;

let subject: Subject;
beforeEach(async () => {
  subject = await startSubject();
});

/** In this order, for a command that leaves something broken, with `--rollback auto`. */
const notes = [
  'keeping',
  'command, not yet run',
  'command, which runs on',
  'checking',
  'undoing',
  'undoing, with what was made again',
  'restored',
  'settled',
];

async function killedAtNote({ cwd, name }: Subject, note: number): Promise<void> {
  const command = recreate(name, { script: ending });
  const env = { PKBACKUP_TEST_KILL_AT_NOTE: String(note), PKBACKUP_TEST_KILL_JOURNAL: 'guard' };
  const args = ['guard', 'data', '--rollback', 'auto', '--quiet', ...command];
  const { signal, stderr } = await startPkbackup(cwd, args, { before: ['--import', hook], env });
  expect(signal, stderr).toBe('SIGKILL');
}

/** The command may go on by itself: it is not touched as long as it does. */
async function recovered({ cwd }: Subject): Promise<Ran> {
  for (let attempt = 0; attempt < 120; attempt += 1) {
    const ran = await runPkbackup(cwd, ['recover']);
    if (!ran.stdout.includes('still runs')) return ran;
    await sleep(500);
  }
  throw new Error('the command of the guard does not end');
}

test.each(notes.map((name, index) => [name, index + 1] as const))('killed at "%s"', async (_, note) => {
  await killedAtNote(subject, note);
  const { exitCode, stdout, stderr } = await recovered(subject);
  expect(exitCode, `${stdout}\n${stderr}`).toBe(0);
  const isUntouched = note <= 2;
  expect(stdout).toMatch(isUntouched || note === 8 ? /ended the guard of data/ : /rolled back data/);
  await expectState(subject, 'old', stdout);
});

test('an ordinary command goes on with a rollback, and leaves a decision alone', async () => {
  await killedAtNote(subject, 4);
  const listed = await runPkbackup(subject.cwd, ['list']);
  expect(listed.exitCode).toBe(0);
  expect(listed.stderr).toContain('pkbackup recover asks the stores, and settles it');
  expect((await runPkbackup(subject.cwd, ['guard', '--undo'])).exitCode).toBe(0);
  await expectState(subject, 'old');

  await killedAtNote(subject, 5);
  const healed = await runPkbackup(subject.cwd, ['list']);
  expect(healed.stderr).toContain('rolled back data');
  await expectState(subject, 'old', healed.stderr);
});
