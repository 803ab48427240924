// SIGKILL of the program at each step of a restore into a FalkorDB of this host. After the next command the data is wholly the old or
// wholly the new, the server runs, and who writes can; all of it without Docker.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { requireTestbed } from '../../testbed/index.ts';
import { deadDocker, makeDirectory, pkbackup } from '../cli/program.ts';
import {
  type KillSubject,
  killedAtNote,
  killedSoonAfterNote,
  stepInJournal,
} from '../operations/restore-kills.ts';
import { type HostFalkordb, startHostFalkordb } from './fixtures/falkordb-host.ts';

/** Kills in the middle of some step; more with PKBACKUP_TEST_KILLS. */
const kills = Number(process.env.PKBACKUP_TEST_KILLS ?? 2);

let host: HostFalkordb;
let subject: KillSubject;

const put = async (content: string) => {
  await host.ask('FLUSHALL');
  await host.query('knowledge', `UNWIND range(1, 50) AS n CREATE (:${content} {n: n})`);
};

beforeAll(async () => {
  await requireTestbed('falkordb');
  host = await startHostFalkordb({ args: '--appendonly yes' });
  const { port, tools, stop, start } = host;
  const store = { kind: 'falkordb', host: '127.0.0.1', port, tools, stop, start };
  const cwd = makeDirectory({ 'pkbackup.yaml': JSON.stringify({ stores: { data: store } }) });
  subject = {
    cwd,
    container: '',
    environment: { DOCKER_HOST: deadDocker },
    reset: () => put('old'),
    async look() {
      await host.ask('SET', 'written', 'yes');
      await host.ask('DEL', 'written');
      const [, rows] = (await host.query('knowledge', 'MATCH (n) RETURN labels(n)[0], count(n)')) as [
        unknown,
        [string, number][],
      ];
      const [[label, count] = ['', 0]] = rows;
      if ((label !== 'old' && label !== 'new') || count !== 50) throw new Error(`found ${count} of ${label}`);
      return label;
    },
    names: async () => [...readdirSync(host.data), ...readdirSync(join(host.data, '..'))],
  };
  await put('new');
  expect(await pkbackup(['backup', '--quiet'], { cwd })).toMatchObject({ exitCode: 0 });
  await put('old');
});
afterAll(() => host?.[Symbol.asyncDispose]());

async function expectHealed(expected: 'old' | 'new'): Promise<void> {
  const { cwd } = subject;
  const listed = await pkbackup(['list', '--quiet'], { cwd });
  expect(listed.exitCode, listed.stderr).toBe(0);
  await vi.waitFor(() => host.ask('PING'), 10_000);
  expect(await subject.look(), listed.stderr).toBe(expected);
  expect((await subject.names()).join()).not.toContain('pkbackup');
  expect(readdirSync(join(cwd, 'backups', '.pkbackup', 'journal'))).toEqual([]);
  await subject.reset();
}

test.each([
  ['staging', 1],
  ['swapping', 2],
  ['checked', 3],
  ['kept', 4],
])('killed at "%s"', async (step, note) => {
  await killedAtNote(subject, note);
  expect(stepInJournal(subject)).toBe(step);
  await expectHealed(note > 2 ? 'new' : 'old');
});

test('killed in the middle of a step, while the server is down or comes up', async () => {
  for (let round = 0; round < kills; round += 1) {
    const afterMs = 1 + Math.random() * 2500;
    await killedSoonAfterNote(subject, 2, afterMs);
    const step = stepInJournal(subject);
    await expectHealed(step === 'swapping' ? 'old' : 'new');
  }
});
