// Compression works in the pool of Node, which would have four threads on every machine.
import { join } from 'node:path';
import process from 'node:process';
import { execa } from 'execa';
import { expect, test } from 'vitest';
import { cleanEnvironment, makeDirectory, shim } from './program.ts';

/** A machine with so many processors; says how large the pool is when the program ends. */
const preload = (cores: number) => `
const { syncBuiltinESMExports } = require('node:module');
const fs = require('node:fs');
require('node:os').availableParallelism = () => ${cores};
syncBuiltinESMExports();
process.on('exit', () => {
  const nameOf = (id) => fs.readFileSync('/proc/self/task/' + id + '/comm', 'utf8').trim();
  const threads = process.platform === 'linux' ? fs.readdirSync('/proc/self/task').map(nameOf) : [];
  const pool = threads.filter((name) => name === 'libuv-worker').length;
  process.stdout.write(JSON.stringify({ asked: process.env.UV_THREADPOOL_SIZE, pool }));
});`;

test.each([
  ['2 processors: the four that Node has', 2, {}, { pool: 4 }],
  ['12 processors: one each', 12, {}, { asked: '12', pool: 12 }],
  ['another number that the user wants', 12, { UV_THREADPOOL_SIZE: '5' }, { asked: '5', pool: 5 }],
])('%s', async (_what, cores, env, expected) => {
  const cwd = makeDirectory({
    one: '1',
    'pkbackup.yaml': 'stores: { files: { kind: directory, path: . } }',
    'cores.cjs': preload(cores),
  });
  const { stdout, exitCode, stderr } = await execa(
    process.execPath,
    ['--require', join(cwd, 'cores.cjs'), shim, 'backup', '--quiet'],
    { cwd, env: { ...cleanEnvironment(), ...env }, extendEnv: false, reject: false },
  );
  expect(exitCode, stderr).toBe(0);
  const { asked } = expected as { asked?: string };
  expect(JSON.parse(stdout)).toEqual(
    process.platform === 'linux' ? expected : { ...(asked && { asked }), pool: 0 },
  );
});
