// The Docker Engine is stopped or killed in the middle of backups and restores, and started again: nothing bad is listed, the
// data is wholly the old or the new, and the store runs. PKBACKUP_TEST_RESTARTS sets how often.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { image } from '../../testbed/index.ts';
import { cleanEnvironment, shim } from '../cli/program.ts';
import { type OwnEngine, startOwnEngine } from '../faults/own-engine.ts';

const rounds = Number(process.env.PKBACKUP_TEST_RESTARTS ?? 20);
const volume = 'pkbt-restart';

let directory: string;
let engine: OwnEngine;
let takenByEngine = 0;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'pkbackup-engine-'));
  engine = await startOwnEngine(join(directory, 'engine'), image.chromadb);
  await engine.client.createVolume({ Name: volume });
  await startSleeper('user', [`${volume}:/data`]);
  await startSleeper('bystander', []);
  writeFileSync(
    join(directory, 'pkbackup.yaml'),
    `stores:\n  files: { kind: volume, volume: ${volume}, quiesce: stop }\n`,
  );
  for (const content of [1, 2]) {
    await fill(content);
    expect((await pkbackup('backup')).exitCode).toBe(0);
  }
});
afterAll(async () => {
  await engine.remove();
  rmSync(directory, { recursive: true, force: true });
});

async function inVolume(script: string): Promise<string> {
  const exec = await engine.client
    .getContainer('user')
    .exec({ Cmd: ['bash', '-c', script], AttachStdout: true, Tty: true });
  return (await text(await exec.start({ Tty: true }))).trim();
}

const fill = (content: number) =>
  inVolume(
    `cd /data && rm -rf * && for n in 1 2 3 4 5 6 7 8; do (echo ${content}; head -c 4000000 /dev/urandom) > file-$n; done; sync`,
  );

/** The number in every file; anything but one number is a mixture. */
const read = () => inVolume('cd /data && for f in file-*; do head -n 1 $f; done | sort -u');

function start(...args: string[]) {
  return execa(process.execPath, [shim, ...args], {
    cwd: directory,
    env: { ...cleanEnvironment(), DOCKER_HOST: engine.host },
    extendEnv: false,
    reject: false,
    stdin: 'ignore',
  });
}

async function pkbackup(...args: string[]) {
  return await start(...args);
}

async function startSleeper(name: string, binds: string[]): Promise<void> {
  const container = await engine.client.createContainer({
    Image: image.chromadb,
    name,
    Entrypoint: ['dumb-init', '--'],
    Cmd: ['sleep', '1000000'],
    Healthcheck: { Test: ['NONE'] },
    HostConfig: { NetworkMode: 'none', Binds: binds, RestartPolicy: { Name: 'unless-stopped' } },
  });
  await container.start();
}

const stateOf = async (name: string) => (await engine.client.getContainer(name).inspect()).State;

/**
 * What a killed Engine does not start again by itself, not even a bystander, is none of our doing: but only where the run
 * had not begun to hold anything.
 */
async function untilRunning(where: string): Promise<void> {
  // An Engine that was killed takes its time over its restart policies.
  for (let attempt = 0; attempt < 600; attempt += 1) {
    if ((await stateOf('user')).Running) return;
    await sleep(100);
  }
  const state = await stateOf('user');
  // containerd still has the task of a container whose shim was killed: nobody can start it before the Engine is started anew.
  if (/already exists/.test(state.Error)) {
    await engine.end('SIGTERM');
    await engine.start();
    takenByEngine += 1;
    for (const name of ['user', 'bystander'])
      await engine.client
        .getContainer(name)
        .start()
        .catch(() => undefined);
    return;
  }
  if ((await stateOf('bystander')).Running || !where.includes('nothing was held')) {
    throw new Error(`the container was left ${JSON.stringify(state)}; ${where}`);
  }
  takenByEngine += 1;
  for (const name of ['user', 'bystander']) await engine.client.getContainer(name).start();
}

/** How long the command takes when nothing is in its way. */
async function usualMs(...args: string[]): Promise<number> {
  const startedMs = performance.now();
  expect((await pkbackup(...args)).exitCode).toBe(0);
  return performance.now() - startedMs;
}

async function restartDuring(lengthMs: number, round: number, ...args: string[]) {
  const child = start(...args);
  await sleep(200 + Math.random() * lengthMs);
  const began = hasBegunToHold();
  await engine.end(round % 2 === 0 ? 'SIGTERM' : 'SIGKILL');
  await sleep(300);
  const journal = began || hasBegunToHold();
  await engine.start();
  const { exitCode, stderr } = await child;
  return { exitCode, stderr: journal ? stderr : `${stderr} (nothing was held by it)` };
}

/** A journal is on disk before the first stop, and goes when all run again. */
function hasBegunToHold(): boolean {
  const names = readdirSync(join(directory, 'backups', '.pkbackup', 'journal'));
  return names.some((name) => name.endsWith('.hold.jsonl'));
}

test(`the Engine goes away and comes back ${rounds} times in the middle of a backup`, async () => {
  const lengthMs = await usualMs('backup');
  let failed = 0;
  for (let round = 0; round < rounds; round += 1) {
    const { exitCode, stderr } = await restartDuring(lengthMs, round, 'backup');
    const where = `round ${round}: ${stderr}`;
    expect([0, 2, 4], where).toContain(exitCode);
    if (exitCode !== 0) {
      failed += 1;
      expect(
        stderr.split('\n').filter((line) => line.startsWith('error:')),
        where,
      ).toHaveLength(1);
    }
    await untilRunning(where);
    const listed = await pkbackup('list', '--json');
    expect(listed.stdout, where).not.toContain('"damaged"');
    expect(readdirSync(join(directory, 'backups')).filter((name) => name.endsWith('.partial'))).toEqual([]);
  }
  process.stdout.write(
    `engine restarts: ${failed} of ${rounds} backups failed with a clear error; ${takenByEngine} times the Engine started nothing\n`,
  );
  expect((await pkbackup('verify')).exitCode).toBe(0);
  expect((await pkbackup('prune', '--keep-last', '2', '--yes')).exitCode).toBe(0);
});

test(`the Engine goes away and comes back ${rounds} times in the middle of a restore`, async () => {
  for (const content of [1, 2]) {
    await fill(content);
    expect((await pkbackup('backup')).exitCode).toBe(0);
  }
  const { stdout } = await pkbackup('list', '--json');
  const [newest, older] = JSON.parse(stdout).stores[0].backups as { stem: string }[];
  const stems = [older?.stem ?? '', newest?.stem ?? ''];
  const lengthMs = await usualMs('restore', stems[1] ?? '', '--yes', '--no-safety-backup');
  for (let round = 0; round < rounds; round += 1) {
    const before = await read();
    const wanted = before === '1' ? 2 : 1;
    const args = ['restore', stems[wanted - 1] ?? '', '--yes', '--no-safety-backup'];
    const { exitCode, stderr } = await restartDuring(lengthMs, round, ...args);
    const where = `round ${round}: exit ${exitCode}: ${stderr}`;
    await untilRunning(where);
    const healed = await pkbackup('recover');
    expect(healed.exitCode, `${where}\nthen: ${healed.stdout} ${healed.stderr}`).toBe(0);
    await untilRunning(where);
    const after = await read();
    expect(exitCode === 0 ? [`${wanted}`] : [before, `${wanted}`], where).toContain(after);
    expect(await inVolume('ls -A /data | grep -c pkbackup'), where).toBe('0');
  }
});
