import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { beforeAll, describe, expect, it } from 'vitest';
import { cleanEnvironment, makeDirectory, pkbackup, shim } from './program.ts';

let cwd: string;

beforeAll(() => {
  cwd = makeDirectory({ 'pkbackup.yaml': 'stores: { memory: { kind: directory, path: memory } }\n' });
  mkdirSync(join(cwd, 'memory'));
  for (let file = 0; file < 20; file++) writeFileSync(join(cwd, 'memory', `${file}`), randomBytes(4_000_000));
});

/** Starts a backup that takes a while and sends the signals once bytes are read. */
async function interrupted(...signals: NodeJS.Signals[]) {
  const child = execa(process.execPath, [shim, 'backup', '--events'], {
    cwd,
    env: cleanEnvironment(),
    extendEnv: false,
    reject: false,
  });
  await new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => chunk.includes('"progress"') && resolve());
  });
  for (const signal of signals) {
    child.kill(signal);
    await sleep(5);
  }
  return await child;
}

describe.runIf(process.platform !== 'win32')('a signal in the middle of a backup', () => {
  it.each([
    ['SIGINT', 130, 'interrupted'],
    ['SIGTERM', 143, 'terminated'],
    ['SIGHUP', 143, 'terminated'],
  ] as const)('%s ends with %d, says so, and leaves nothing', async (signal, expected, message) => {
    const { exitCode, stderr } = await interrupted(signal);
    expect(exitCode).toBe(expected);
    expect(stderr).toContain(`error: ${message}`);
    expect(stderr).not.toContain('    at ');
    expect(leftovers()).toEqual([]);
    expect((await pkbackup(['list', '--json'], { cwd })).stdout).toContain('"stores": []');
  });

  it('may come again and again: the first one counts, and cleaning up goes on', async () => {
    const { exitCode } = await interrupted('SIGINT', 'SIGINT', 'SIGTERM', 'SIGINT');
    expect(exitCode).toBe(130);
    expect(leftovers()).toEqual([]);
  });
});

function leftovers(): string[] {
  return readdirSync(join(cwd, 'backups'), { recursive: true })
    .map(String)
    .filter((name) => name.includes('partial') || name.includes('-backup-'));
}
