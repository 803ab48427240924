// SIGKILL during the restore of a set: after the next command all stores hold what was saved, or all what was there before.
// PKBACKUP_TEST_KILLS makes it thorough: before every single change to the file system.
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, expect, test } from 'vitest';
import { pkbackup, shim } from '../cli/program.ts';
import { runKilled } from '../faults/kill-sweep.ts';

const root = mkdtempSync(join(tmpdir(), 'pkbackup-set-kill-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const names = ['one', 'two', 'three'];

test('a killed restore of a set is wholly done or wholly undone by the next command', async () => {
  const cwd = join(root, 'work');
  const pristine = join(root, 'pristine');
  mkdirSync(cwd);
  const put = (content: string) => {
    for (const name of names) {
      mkdirSync(join(cwd, name), { recursive: true });
      writeFileSync(join(cwd, name, 'file'), content);
    }
  };
  const stores = names.map((name) => `  ${name}: { kind: directory, path: ./${name} }`);
  writeFileSync(join(cwd, 'pkbackup.yaml'), `stores:\n${stores.join('\n')}\n`);
  put('saved');
  const made = await pkbackup(['backup', '--json'], { cwd });
  expect(made, made.stderr).toMatchObject({ exitCode: 0 });
  const setId = (JSON.parse(made.stdout) as { set_id: string }).set_id;
  put('present');
  cpSync(cwd, pristine, { recursive: true });

  const args = ['restore', setId, '--yes', '--quiet'];
  const step = process.env.PKBACKUP_TEST_KILLS === undefined ? 8 : 1;
  const outcomes = { saved: 0, present: 0 };
  for (let killAt = 1 + Math.floor(Math.random() * step); ; killAt += step) {
    rmSync(cwd, { recursive: true });
    cpSync(pristine, cwd, { recursive: true });
    const wasKilled = runKilled({ program: shim, cwd, below: cwd, args }, killAt);
    const healed = await pkbackup(['list', '--quiet'], { cwd });
    expect(healed, `killed at ${killAt}: ${healed.stderr}`).toMatchObject({ exitCode: 0 });
    const found = new Set(names.map((name) => readFileSync(join(cwd, name, 'file'), 'utf8')));
    expect(found.size, `killed at ${killAt}: ${[...found]}`).toBe(1);
    for (const content of found) outcomes[content as 'saved' | 'present'] += 1;
    for (const name of names) expect(readdirSync(join(cwd, name)), `killed at ${killAt}`).toEqual(['file']);
    const own = readdirSync(join(cwd, 'backups', '.pkbackup'), { recursive: true }).map(String);
    expect(
      own.filter((name) => name.includes('.restore.json')),
      `killed at ${killAt}`,
    ).toEqual([]);
    if (!wasKilled) break;
  }
  process.stdout.write(`killed restores of a set: ${outcomes.saved} ended, ${outcomes.present} undone\n`);
  expect(Math.min(outcomes.saved, outcomes.present)).toBeGreaterThan(2);
});
