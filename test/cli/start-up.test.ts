// What makes the published program start fast, as far as it can be told without a clock.
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { describe, expect, test } from 'vitest';
import { cleanEnvironment, makeDirectory, shim } from './program.ts';

/** The published program with these packages alone. */
function publishedWith(...packages: string[]): string {
  const directory = makeDirectory();
  cpSync(dirname(dirname(shim)), directory, { recursive: true });
  const all = join(directory, 'dist', 'packages');
  for (const name of readdirSync(all)) {
    if (!packages.includes(name.replace(/\..*/, ''))) rmSync(join(all, name));
  }
  return join(directory, 'bin', 'pkbackup.js');
}

async function run(
  program: string,
  args: string[],
  env: Record<string, string> = {},
  cwd = makeDirectory(),
): Promise<string> {
  const { stdout } = await execa(process.execPath, [program, ...args], {
    cwd,
    env: { ...cleanEnvironment(), ...env },
    extendEnv: false,
  });
  return stdout;
}

describe('what is not needed is not loaded:', () => {
  test('the version needs no package', async () => {
    expect(await run(publishedWith(), ['--version'])).toMatch(/^\d+\.\d+/);
  });

  test('a list needs no schemas, no YAML and no Docker', async () => {
    expect(await run(publishedWith('commander'), ['list'])).toContain('no backups');
  });

  test('a list needs one half of our code', async () => {
    const program = publishedWith('commander');
    const dist = join(dirname(dirname(program)), 'dist');
    const parts = readdirSync(dist).map((name) => ({
      path: join(dist, name),
      size: statSync(join(dist, name)).size,
    }));
    const [rest] = parts.sort((a, b) => b.size - a.size);
    rmSync(rest!.path);
    expect(await run(program, ['list'])).toContain('no backups');
    await expect(run(program, ['verify'])).rejects.toThrow('Cannot find module');
  });
});

describe('a config file that was right', () => {
  const config = (text: string) => {
    const cwd = makeDirectory();
    const path = join(cwd, 'pkbackup.yaml');
    writeFileSync(path, text);
    return { cwd, path, env: { XDG_CACHE_HOME: makeDirectory() } };
  };
  const right = 'repository: ./elsewhere\nstores:\n  memory:\n    kind: directory\n    path: ./memory\n';
  const withoutYaml = publishedWith('commander');
  const everything = publishedWith('commander', 'yaml', 'zod', 'picomatch');

  test('is not checked again by a list', async () => {
    const { cwd, path, env } = config(right);
    const first = await run(everything, ['list', 'memory'], env, cwd);
    expect(first).toContain('no backups in ./elsewhere');
    expect(await run(everything, ['list', 'memory'], env, cwd)).toBe(first);
    expect(await run(withoutYaml, ['list', 'memory'], env, cwd)).toBe(first);
    for (const text of [right.replace('elsewhere', 'elsewherf'), right.replace('directory', 'directorx')]) {
      writeFileSync(path, text);
      await expect(run(withoutYaml, ['list'], env, cwd)).rejects.toThrow('zod.cjs');
    }
  });

  test('is checked again when it has changed', async () => {
    const { cwd, path, env } = config(right);
    await run(everything, ['list'], env, cwd);
    writeFileSync(path, right.replace('elsewhere', 'not-there'));
    expect(await run(everything, ['list'], env, cwd)).toContain('no backups in ./not-there');
    writeFileSync(path, right.replace('kind: directory', 'kind: directorx'));
    for (const _ of [1, 2]) {
      await expect(run(everything, ['list'], env, cwd)).rejects.toThrow(
        'pkbackup.yaml:4: stores.memory.kind',
      );
    }
  });

  test('is checked each time where variables go into it, and nothing of it is kept', async () => {
    const { cwd, env } = config(right.replace('./elsewhere', `\${PLACE}`));
    expect(await run(everything, ['list'], { ...env, PLACE: './one' }, cwd)).toContain('./one');
    expect(await run(everything, ['list'], { ...env, PLACE: './two' }, cwd)).toContain('./two');
    const kept = readdirSync(env.XDG_CACHE_HOME, { recursive: true }).map(String);
    expect(kept.filter((name) => name.includes('config-'))).toEqual([]);
  });
});

describe('compiled code', () => {
  test('is kept in the user’s own cache, for nobody else', async () => {
    const home = makeDirectory();
    await run(shim, ['list'], { HOME: home, XDG_CACHE_HOME: '', LOCALAPPDATA: join(home, '.cache') });
    const kept = join(home, '.cache', 'pkbackup', 'compiled');
    expect(readdirSync(kept)).not.toEqual([]);
    if (process.platform !== 'win32') expect(statSync(kept).mode & 0o777).toBe(0o700);
  });

  test.skipIf(process.platform === 'win32')('is not taken from where others may write', async () => {
    const cache = makeDirectory();
    const kept = join(cache, 'pkbackup', 'compiled');
    mkdirSync(kept, { recursive: true });
    chmodSync(kept, 0o777);
    await run(shim, ['list'], { XDG_CACHE_HOME: cache });
    expect(readdirSync(kept)).toEqual([]);
  });

  test('is not needed: without a home it starts all the same', async () => {
    const nowhere = '/proc/nonexistent';
    expect(
      await run(shim, ['list'], { HOME: nowhere, XDG_CACHE_HOME: nowhere, LOCALAPPDATA: nowhere }),
    ).toContain('no backups');
    expect(existsSync(nowhere)).toBe(false);
  });
});
