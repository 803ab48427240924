// A file of a store that may not be read. Root may read everything, so as root the program runs as somebody else.
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { execa } from 'execa';
import { expect, test } from 'vitest';
import { cleanEnvironment, deadDocker, lines, makeDirectory, shim } from './program.ts';

const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

test('an unreadable file is one line that names it, exit code 4, and nothing is published', async () => {
  const cwd = makeDirectory({ 'pkbackup.yaml': 'stores: { memory: { kind: directory, path: memory } }\n' });
  mkdirSync(join(cwd, 'memory'));
  writeFileSync(join(cwd, 'memory', 'open'), 'anyone');
  writeFileSync(join(cwd, 'memory', 'closed'), 'nobody');
  chmodSync(join(cwd, 'memory', 'closed'), 0o000);
  for (const path of [cwd, dirname(dirname(shim))]) chmodSync(path, 0o777);
  const { exitCode, stderr } = await execa(process.execPath, [shim, 'backup', '--quiet'], {
    cwd,
    env: { ...cleanEnvironment(), DOCKER_HOST: deadDocker, HOME: cwd },
    extendEnv: false,
    reject: false,
    ...nobody,
  });
  expect(exitCode, stderr).toBe(4);
  const errors = lines(stderr).filter((line) => line.startsWith('error:'));
  expect(errors).toHaveLength(1);
  expect(errors[0]).toContain('closed');
  expect(errors[0]).toMatch(/permission|EACCES|may not be read/i);
  expect(readdirSync(join(cwd, 'backups')).filter((name) => name.includes('memory'))).toEqual([]);
});
