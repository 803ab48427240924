// Commands that fail, hang, are killed or interrupted, and what a person decides.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import {
  ending,
  expectState,
  keepersOf,
  overwriting,
  recreate,
  runPkbackup,
  type Subject,
  secret,
  startPkbackup,
  startSubject,
} from './guard-subject.ts';

const guard = (rollback: string, ...more: string[]) => [
  'guard',
  'data',
  '--rollback',
  rollback,
  '--json',
  ...more,
];

function journalsOf({ cwd }: Subject): string[] {
  const directory = join(cwd, 'backups', '.pkbackup', 'journal');
  const names = readdirSync(directory).filter((name) => name.endsWith('.guard.json'));
  return names.map((name) => readFileSync(join(directory, name), 'utf8'));
}

let subject: Subject;
beforeEach(async () => {
  subject = await startSubject();
});

test.each([
  ['fails', recreateWith({ script: overwriting, after: 'fail' }), /failed: exit code 3/],
  [
    'never ends',
    recreateWith({ script: overwriting, after: 'hang' }, '--deadline', '3s'),
    /was ended after 3 s/,
  ],
  ['is killed', recreateWith({ script: overwriting, after: 'kill' }), /was ended by SIGKILL/],
  ['leaves a container that ends', recreateWith({ script: ending }), /container ".*" .*exit code 1/],
])('a command that %s is undone', async (_, args, finding) => {
  const ran = await runPkbackup(subject.cwd, guard('auto', ...args(subject)));
  expect(ran.exitCode, ran.stderr).toBe(10);
  const { outcome, findings } = JSON.parse(ran.stdout);
  expect(outcome).toBe('rolled_back');
  expect(findings.join('\n')).toMatch(finding);
  await expectState(subject, 'old', ran.stderr);
});

function recreateWith(how: Parameters<typeof recreate>[1], ...flags: string[]) {
  return ({ name }: Subject) => [...flags, ...recreate(name, how)];
}

test('a command that cannot be started changes nothing; one that is well is left alone', async () => {
  const missing = await runPkbackup(subject.cwd, guard('auto', '--', '/nonexistent/upgrade', 'now'));
  expect(missing.exitCode, missing.stderr).toBe(64);
  expect(JSON.parse(missing.stdout)).toMatchObject({ outcome: 'not_run' });
  await expectState(subject, 'old');

  const fine = await runPkbackup(
    subject.cwd,
    guard('auto', ...recreateWith({ script: overwriting })(subject)),
  );
  expect(fine.exitCode, fine.stderr).toBe(0);
  expect(JSON.parse(fine.stdout)).toMatchObject({ ok: true, outcome: 'fine', findings: [] });
  await expectState(subject, 'new');
});

test('without a terminal it waits; a person goes back, or keeps what is there; no second guard meanwhile', async () => {
  const { cwd, name } = subject;
  const failing = recreateWith({ script: overwriting, after: 'fail' })(subject);
  const waits = await runPkbackup(cwd, guard('ask', ...failing));
  expect(waits.exitCode, waits.stderr).toBe(11);
  expect(waits.stderr).toContain('pkbackup guard --undo goes back');
  expect(await keepersOf(name)).toHaveLength(1);
  const [journal = ''] = journalsOf(subject);
  expect(JSON.parse(journal)).toMatchObject({ step: 'waiting', rollback: 'ask' });
  expect(journal).not.toContain(secret);

  const second = await runPkbackup(cwd, guard('auto', ...failing));
  expect(second.exitCode, second.stderr).toBe(11);
  expect(second.stderr).toContain('has not come to its end; nothing was run');
  const told = await runPkbackup(cwd, ['recover']);
  expect(told.exitCode).toBe(1);
  expect(told.stdout).toContain('the guard of data waits for a decision');

  const back = await runPkbackup(cwd, ['guard', '--undo']);
  expect(back.exitCode, back.stderr).toBe(0);
  await expectState(subject, 'old', back.stderr);

  expect((await runPkbackup(cwd, guard('never', ...failing))).exitCode).toBe(11);
  const kept = await runPkbackup(cwd, ['guard', '--accept', 'data']);
  expect(kept.exitCode, kept.stderr).toBe(0);
  await expectState(subject, 'new');
  const none = await runPkbackup(cwd, ['guard', '--undo']);
  expect(none.exitCode).toBe(3);
  expect(none.stderr).toContain('there is no guard that waits');
});

test('Ctrl+C is passed on to the command, and what it has done is undone', async () => {
  const hanging = recreateWith({ script: overwriting, after: 'hang' })(subject);
  const child = startPkbackup(subject.cwd, guard('auto', ...hanging));
  child.stderr.on('data', (bytes: Buffer) => {
    if (bytes.toString().includes(`made ${subject.name} anew`)) child.kill('SIGINT');
  });
  const { exitCode, stdout, stderr } = await child;
  expect(exitCode, stderr).toBe(130);
  expect(stderr).toContain('was asked to end by SIGINT');
  expect(JSON.parse(stdout)).toMatchObject({ outcome: 'rolled_back' });
  await expectState(subject, 'old', stderr);
});
