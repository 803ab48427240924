// The swap and its way back, broken off after every single step: whatever was done, doing it again ends right, and going
// back ends with what was there before.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Step, stepScript } from '../../src/stores/volume-steps.ts';

const id = '1';
const before = 'a/deep:old b:old .hidden:old';
const after = 'b:new c:new';
const staged = '.pkbackup-staged-1';
const previous = '.pkbackup-previous-1';
const setUp = `rm -rf ..?* .[!.]* * && mkdir -p a ${staged} && echo old > a/deep && echo old > b && echo old > .hidden
  echo new > ${staged}/b && echo new > ${staged}/c`;
const swapSteps = [
  `mkdir ${previous}.part`,
  `mv a ${previous}.part/`,
  `mv b ${previous}.part/`,
  `mv .hidden ${previous}.part/`,
  `mv ${previous}.part ${previous}`,
  `mv ${staged}/b .`,
  `mv ${staged}/c .`,
  `rmdir ${staged}`,
];
/** From the end of a swap. */
const rollbackSteps = [
  `mkdir ${staged}`,
  `mv b ${staged}/`,
  `mv c ${staged}/`,
  `mv ${previous} .pkbackup-back-1`,
  'mv .pkbackup-back-1/a .',
  'mv .pkbackup-back-1/b .',
  'mv .pkbackup-back-1/.hidden .',
  'rmdir .pkbackup-back-1',
  `rm -r ${staged}`,
];

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'pkbackup-steps-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** As it runs in a container, but here. */
function runStep(step: Step): void {
  execFileSync('sh', ['-c', stepScript, 'sh', step, directory, id], {
    stdio: 'pipe',
    env: { ...process.env, LC_ALL: 'C' },
  });
}

const shell = (script: string) =>
  execFileSync('bash', ['-c', `cd "$0" && ${script}`, directory], { encoding: 'utf8' });
const arrange = (steps: readonly string[]) => shell([setUp, ...steps].join(' && '));

/** `path:content` of every file but ours, and the names of ours. */
function state(): { data: string; ours: string } {
  const show = `find . -type f -not -path './.pkbackup-*' -printf '%P:' -exec cat {} ';'; echo =; ls -A | grep '^.pkbackup-' || true`;
  const [data = '', ours = ''] = shell(show).split('=\n');
  return { data: data.trim().split('\n').toSorted().join(' '), ours: ours.trim() };
}

const sorted = (text: string) => text.split(' ').toSorted().join(' ');

test.each(swapSteps.map((_, done) => done).concat(swapSteps.length))(
  'a swap broken off after %i steps is finished by doing it again',
  (done) => {
    arrange(swapSteps.slice(0, done));
    runStep('swap');
    expect(state()).toEqual({ data: sorted(after), ours: previous });
    runStep('discard');
    expect(state()).toEqual({ data: sorted(after), ours: '' });
  },
);

test.each(swapSteps.map((_, done) => done).concat(swapSteps.length))(
  'a swap broken off after %i steps is undone by a rollback',
  (done) => {
    arrange(swapSteps.slice(0, done));
    runStep('rollback');
    expect(state()).toEqual({ data: sorted(before), ours: '' });
  },
);

test.each(rollbackSteps.map((_, done) => done + 1))(
  'a rollback broken off after %i steps is finished by doing it again',
  (done) => {
    arrange([...swapSteps, ...rollbackSteps.slice(0, done)]);
    runStep('rollback');
    expect(state()).toEqual({ data: sorted(before), ours: '' });
  },
);

test('what a server has made in a half swapped place does not hold up the way back', () => {
  arrange([
    ...swapSteps.slice(0, 6),
    'mkdir c',
    'echo made > c/by-server',
    `echo made > ${staged}/a`,
    'mkdir a',
  ]);
  runStep('rollback');
  expect(state()).toEqual({ data: sorted(before), ours: '' });
  arrange([...swapSteps.slice(0, 3), 'mkdir b', 'echo made > b/by-server', 'echo made > a']);
  runStep('rollback');
  expect(state()).toEqual({ data: sorted(before), ours: '' });
});

test('nothing is discarded while a swap or a rollback is not finished', () => {
  for (const steps of [
    swapSteps.slice(0, 3),
    swapSteps.slice(0, 6),
    [...swapSteps, ...rollbackSteps.slice(0, 5)],
  ]) {
    arrange(steps);
    const held = state();
    expect(() => runStep('discard')).toThrow(/not empty|not finished/);
    expect(state()).toEqual(held);
  }
});

test('nothing is swapped where nothing is staged, and another restore is left alone', () => {
  arrange([`rm -r ${staged}`, 'mkdir .pkbackup-staged-2']);
  expect(() => runStep('swap')).toThrow(/nothing is staged/);
  runStep('rollback');
  expect(state()).toEqual({ data: sorted(before), ours: '.pkbackup-staged-2' });
});
