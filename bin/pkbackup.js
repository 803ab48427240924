#!/usr/bin/env node
// Starts pkbackup: the bundle where it is published, the sources as they lie in a clone. Plain JavaScript that parses
// on Node 18, so that an old Node gets a clear line instead of a syntax error. What Node has is asked for by name, not
// imported: an import of `node:fs` evaluates all of it, which is felt in a program that starts in 30 ms.

const here = (path) => new URL(`../${path}`, import.meta.url);
const source = here('src/cli/main.ts');

if (Number.parseInt(process.versions.node, 10) >= 24) await start();
else await startAgain();

async function start() {
  keepCompiledCode();
  useAllCores();
  const { existsSync } = process.getBuiltinModule('node:fs');
  const { main } = await import(existsSync(source) ? source.href : here('dist/pkbackup.js').href);
  await main(process.argv.slice(2));
}

/**
 * What is kept is run later, so it lies where nobody else may write: never in the `/tmp` of everyone, Node's own choice.
 */
function keepCompiledCode() {
  const { XDG_CACHE_HOME, LOCALAPPDATA } = process.env;
  const { existsSync, lstatSync, mkdirSync } = process.getBuiltinModule('node:fs');
  const { homedir } = process.getBuiltinModule('node:os');
  const { join } = process.getBuiltinModule('node:path');
  try {
    let directory = XDG_CACHE_HOME || LOCALAPPDATA || join(homedir(), '.cache');
    for (const below of ['', 'pkbackup', 'compiled']) {
      directory = join(directory, below);
      if (!existsSync(directory)) mkdirSync(directory, { mode: 0o700 });
    }
    const { uid, mode } = lstatSync(directory);
    const isOurs = process.getuid === undefined || (uid === process.getuid() && (mode & 0o022) === 0);
    if (isOurs) process.getBuiltinModule('node:module').enableCompileCache(directory);
  } catch {
    // No home, or one that cannot be written to: it starts all the same.
  }
}

/** Node's pool, which decompresses, has four threads unless this says otherwise before its first use. */
function useAllCores() {
  const { availableParallelism } = process.getBuiltinModule('node:os');
  const cores = availableParallelism();
  if (cores > 4) process.env.UV_THREADPOOL_SIZE ??= String(cores);
}

/** In a clone, `npm ci` brings a Node of the right version along. */
async function startAgain() {
  const [{ spawn }, { existsSync }, { constants }, { fileURLToPath }] = await Promise.all([
    import('node:child_process'),
    import('node:fs'),
    import('node:os'),
    import('node:url'),
  ]);
  const node = here(`node_modules/node/bin/node${process.platform === 'win32' ? '.exe' : ''}`);
  if (!existsSync(node)) {
    process.stderr.write(`error: pkbackup needs Node 24 or newer, and this is ${process.versions.node}\n`);
    process.stderr.write(
      'hint: install it from https://nodejs.org, or run "npm ci" in the folder of a clone\n',
    );
    process.exit(1);
  }
  const args = [fileURLToPath(import.meta.url), ...process.argv.slice(2)];
  const child = spawn(fileURLToPath(node), args, { stdio: 'inherit' });
  // Ctrl+C may reach both: a second signal does no harm to the child, a lost one would.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : code));
}
