// Runs a TypeScript file of this project on Node 24, wherever it is started from.
// It is plain JavaScript for Node 18 and newer and imports nothing but Node itself: on a new machine it is the first
// thing that runs, and it installs the rest (`npm ci`) when node_modules is missing or older than the lock file.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const installed = join(root, 'node_modules', '.package-lock.json');
const nodeOfProject = join(
  root,
  'node_modules',
  'node',
  'bin',
  process.platform === 'win32' ? 'node.exe' : 'node',
);

if (!isInstalled()) install();
run(process.argv.slice(2));

function isInstalled() {
  if (!existsSync(installed) || !existsSync(nodeOfProject)) return false;
  return statSync(installed).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs || sameLock();
}

/** A clone gives every file a new time: compare what the lock files say before installing again. */
function sameLock() {
  const packages = (file) => JSON.parse(readFileSync(file, 'utf8')).packages;
  const wanted = packages(join(root, 'package-lock.json'));
  const present = packages(installed);
  return Object.entries(wanted).every(
    ([path, { version, optional }]) => path === '' || optional || present[path]?.version === version,
  );
}

function install() {
  process.stderr.write('installing the packages of this project (once; later starts skip it)\n');
  const npm = process.env.npm_execpath;
  const [command, args] = npm ? [process.execPath, [npm]] : ['npm', []];
  const { status, error } = spawnSync(
    command,
    [...args, 'ci', '--no-audit', '--no-fund', '--loglevel=error'],
    {
      cwd: root,
      stdio: ['ignore', process.stderr, process.stderr],
      shell: !npm && process.platform === 'win32',
    },
  );
  if (error || status !== 0) {
    process.stderr.write(`error: npm ci failed (${error ? error.message : `exit ${status}`})\n`);
    process.stderr.write(
      'hint: npm must reach its registry; run "npm ci" in this folder to see why it fails\n',
    );
    process.exit(1);
  }
}

function run(args) {
  const path = [join(root, 'node_modules', '.bin'), dirname(nodeOfProject), process.env.PATH];
  const { status, signal, error } = spawnSync(nodeOfProject, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, PATH: path.join(process.platform === 'win32' ? ';' : ':') },
  });
  if (error) throw error;
  process.exit(signal ? 128 + constants.signals[signal] : status);
}
