// Loaded with --import: kills this process, as SIGKILL does, just before its n-th change to a file system
// (PKBACKUP_TEST_KILL_AT, counted from 1). Only changes below PKBACKUP_TEST_KILL_BELOW count.
import fs, { promises } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import process from 'node:process';

const killAt = Number(process.env.PKBACKUP_TEST_KILL_AT);
const below = process.env.PKBACKUP_TEST_KILL_BELOW ?? '/';
let count = 0;

const promised = [
  'rename',
  'rm',
  'rmdir',
  'open',
  'mkdir',
  'unlink',
  'writeFile',
  'mkdtemp',
  'link',
  'truncate',
];
const attributes = ['chmod', 'chown', 'utimes'];
for (const name of [...promised, ...attributes]) watch(promises, name);
for (const name of ['openSync', 'mkdirSync', 'symlinkSync', 'linkSync', 'renameSync']) watch(fs, name);
syncBuiltinESMExports();

function watch(owner, name) {
  const original = owner[name];
  owner[name] = (path, ...rest) => {
    const isRead = name.startsWith('open') && (rest[0] === undefined || rest[0] === 'r');
    if (!isRead && String(path).startsWith(below)) countAndKill();
    return original(path, ...rest);
  };
}

function countAndKill() {
  count += 1;
  if (count === killAt) process.kill(process.pid, 'SIGKILL');
}
