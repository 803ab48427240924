import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { expect, test } from 'vitest';
import { recoverHolds } from '../../src/quiesce/index.ts';

const tagOf = (host: string) => createHash('sha256').update(host).digest('hex').slice(0, 8);
const deadPid = 4_194_300;

test('a journal that never got its first line goes when its process is dead, and no other', async () => {
  const journalDirectory = mkdtempSync(join(tmpdir(), 'pkbackup-journal-'));
  const docker = () => Promise.reject(new Error('nobody needs Docker for that'));
  const nameOf = (pid: number, host: string) => `1795195850044-${pid}-${tagOf(host)}-32bc57b1.hold.jsonl`;
  const dead = nameOf(deadPid, hostname());
  const others = [nameOf(process.pid, hostname()), nameOf(deadPid, 'elsewhere'), '1-32bc57b1.hold.jsonl'];
  for (const name of others) writeFileSync(join(journalDirectory, name), '');
  writeFileSync(join(journalDirectory, dead), '{"version":1,"store":"ve');
  const left = () => readdirSync(journalDirectory).sort();
  expect(await recoverHolds({ journalDirectory, docker, dryRun: true })).toMatchObject([
    { message: 'would remove the journal of a hold that never began' },
  ]);
  expect(left()).toEqual([dead, ...others].sort());
  expect(await recoverHolds({ journalDirectory, docker })).toMatchObject([
    { message: 'removed the journal of a hold that never began' },
  ]);
  expect(left()).toEqual(others.sort());
  rmSync(journalDirectory, { recursive: true });
});
