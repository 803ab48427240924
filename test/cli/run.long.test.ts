// pkbackup run as a program: what it makes up for, and how it ends. What it does at which time is in
// test/operations/keep-schedule.test.ts.
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { execa } from 'execa';
import { beforeEach, describe, expect, it } from 'vitest';
import { cleanEnvironment, deadDocker, makeDirectory, pkbackup, shim } from './program.ts';

let cwd: string;
beforeEach(() => {
  cwd = makeDirectory({ 'pkbackup.yaml': configOf('"@yearly"') });
  mkdirSync(join(cwd, 'memory'));
  writeFileSync(join(cwd, 'memory', 'note.md'), 'remember');
});

const configOf = (schedule: string) =>
  `schedule: ${schedule}\nstores: { memory: { kind: directory, path: memory } }\n`;
const archives = () => {
  return readdirSync(join(cwd, 'backups')).filter((name) => /^memory-backup-.*\.tar\.gz$/.test(name));
};

function start(...args: string[]) {
  return execa(process.execPath, [shim, 'run', ...args], {
    cwd,
    env: { ...cleanEnvironment(), DOCKER_HOST: deadDocker },
    extendEnv: false,
    reject: false,
    all: true,
  });
}

type Loop = ReturnType<typeof start>;

/** Resolves when it was said; throws where it ends before that. */
function said(loop: Loop, what: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = '';
    loop.all?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes(what)) resolve();
    });
    void loop.then(() => reject(new Error(`it ended without "${what}": ${text}`)));
  });
}

/** As if the last backup had been made two years ago. */
function age(): void {
  const backups = join(cwd, 'backups');
  const name = readdirSync(backups).find((file) => file.endsWith('.metadata.json')) ?? '';
  const text = readFileSync(join(backups, name), 'utf8');
  const year = new Date().getUTCFullYear();
  writeFileSync(
    join(backups, name),
    text.replace(/("created_at": ")\d{4}-02-29|("created_at": ")\d{4}/, `$2${year - 2}`),
  );
}

describe.runIf(process.platform !== 'win32')('pkbackup run', () => {
  it('says when the next backup is, and ends with 0 when it is told to while it waits', async () => {
    const loop = start();
    await said(loop, `next backup of all stores at ${new Date().getFullYear() + 1}-01-01 00:00`);
    loop.kill('SIGTERM');
    const { exitCode } = await loop;
    expect(exitCode).toBe(0);
    expect(readdirSync(cwd)).not.toContain('backups');
  });

  it('makes up at its start for what was missed, and not again when it is started again', async () => {
    await pkbackup(['backup', '--quiet'], { cwd });
    age();
    const loop = start();
    await said(loop, 'next backup');
    loop.kill('SIGTERM');
    expect((await loop).exitCode).toBe(0);
    expect(archives()).toHaveLength(2);
    const again = start();
    await said(again, 'next backup');
    again.kill('SIGTERM');
    await again;
    expect(archives()).toHaveLength(2);
  });

  it('breaks off a backup that runs when it is ended, and leaves nothing of it', async () => {
    await pkbackup(['backup', '--quiet'], { cwd });
    age();
    for (let file = 0; file < 20; file++)
      writeFileSync(join(cwd, 'memory', `${file}`), randomBytes(4_000_000));
    const loop = start('--events');
    await said(loop, '"progress"');
    loop.kill('SIGTERM');
    const { exitCode } = await loop;
    expect(exitCode).toBe(143);
    expect(archives()).toHaveLength(1);
    expect(readdirSync(join(cwd, 'backups')).filter((name) => name.includes('partial'))).toEqual([]);
  });

  it('serves metrics where that is asked for, on this machine only unless it is told otherwise', async () => {
    const loop = start('--metrics', '0');
    let text = '';
    loop.all?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    await said(loop, 'next backup');
    const url = /metrics at (http:\/\/127\.0\.0\.1:\d+\/metrics)/.exec(text)?.[1] ?? '';
    const answer = await fetch(url);
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(await answer.text()).toContain(
      `pkbackup_store_healthy{repository="${join(cwd, 'backups')}",store="memory"} 0`,
    );
    expect((await fetch(url.replace('/metrics', '/'))).status).toBe(404);
    expect((await fetch(url, { method: 'POST' })).status).toBe(405);
    const second = await pkbackup(['run', '--metrics', new URL(url).host], { cwd });
    expect(second).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('EADDRINUSE') });
    expect(second.stderr).toContain('hint: choose another address with --metrics HOST:PORT');
    loop.kill('SIGTERM');
    expect((await loop).exitCode).toBe(0);
    expect((await pkbackup(['run', '--metrics', 'here'], { cwd })).exitCode).toBe(64);
  });

  it('is refused where nothing is scheduled, and where the config file is wrong', async () => {
    writeFileSync(join(cwd, 'pkbackup.yaml'), 'stores: { memory: { kind: directory, path: memory } }\n');
    const none = await pkbackup(['run'], { cwd });
    expect(none).toMatchObject({
      exitCode: 78,
      stderr: expect.stringContaining('error: pkbackup.yaml: nothing is scheduled'),
    });
    writeFileSync(join(cwd, 'pkbackup.yaml'), configOf('"0 25 * * *"'));
    expect((await pkbackup(['run'], { cwd })).exitCode).toBe(78);
  });

  it('follows the config file as it changes', async () => {
    const loop = start();
    await said(loop, 'next backup');
    writeFileSync(join(cwd, 'pkbackup.yaml'), configOf('"30 12 31 12 *"'));
    await said(loop, `next backup of all stores at ${new Date().getFullYear()}-12-31 12:30`);
    loop.kill('SIGTERM');
    expect((await loop).exitCode).toBe(0);
  });
});
