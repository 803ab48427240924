// From a stack that nobody has written down to a config file: through the program, against a real Engine.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { beforeAll, describe, expect, it } from 'vitest';
import { requireTestbed } from '../../testbed/index.ts';
import { makeVolume, uniqueName } from '../docker/bed.ts';
import { project, servers } from '../docker/compose.ts';
import { onTerminal } from './on-terminal.ts';
import { lines, makeDirectory, pkbackup } from './program.ts';

const docker = { DOCKER_HOST: process.env.DOCKER_HOST ?? '' };
const secret = 'correct-horse-battery';
let cwd: string;
let name: string;

const run = (...args: string[]) => pkbackup(args, { cwd, env: docker });
const read = (file = 'pkbackup.yaml') => readFileSync(join(cwd, file), 'utf8');

/** Four servers, an application with a volume, a directory and a database file of this machine. */
beforeAll(async () => {
  await requireTestbed('chromadb', 'falkordb', 'neo4j', 'postgres');
  cwd = makeDirectory({ '.env': `DB_PASSWORD=${secret}\nGRAPH_PASSWORD=another\n` });
  name = uniqueName('stack');
  mkdirSync(join(cwd, 'data'));
  mkdirSync(join(cwd, 'pictures'));
  new DatabaseSync(join(cwd, 'data', 'events.db')).exec('CREATE TABLE events (body TEXT)');
  writeFileSync(join(cwd, 'data', 'not.db'), 'text');
  await project(
    name,
    {
      ...servers,
      vectors: { ...servers.vectors, labels: { 'pkbackup.clients': 'app' } },
      rows: { ...servers.rows, env: [`POSTGRES_PASSWORD=${secret}`, 'POSTGRES_USER=pk'] },
      app: {
        volumes: { uploads: '/uploads' },
        binds: { [join(cwd, 'data')]: '/data', [join(cwd, 'pictures')]: '/pictures', '/etc': '/host-etc' },
        env: [`DATABASE_URL=postgres://pk:${secret}@rows/pk`],
      },
      odd: { labels: { 'pkbackup.kind': 'mysql' } },
    },
    cwd,
  );
});

describe('init', () => {
  it('shows with --dry-run what it would write, and writes nothing', async () => {
    const { exitCode, stdout, stderr } = await run('init', '--dry-run');
    expect(exitCode, stderr).toBe(0);
    expect(stdout).toContain(`vectors: { kind: chromadb, container: ${name}-vectors-1 }`);
    expect(stderr).toContain(`found in the compose project ${name}: 5 stores`);
    expect(existsSync(join(cwd, 'pkbackup.yaml'))).toBe(false);
  });

  it('asks nobody who is not there', async () => {
    const { exitCode, stderr } = await run('init');
    expect(exitCode).toBe(64);
    expect(stderr).toContain('pkbackup init --yes');
  });

  it('asks on a terminal for what nobody recognised, and writes nothing where the answer is no', async () => {
    const volume = 'as "uploads"? [Y/n] ';
    const no = await onTerminal(
      ['init'],
      cwd,
      [
        [volume, 'n\n'],
        ['with 5 stores? [Y/n] ', 'n\n'],
      ],
      docker,
    );
    expect(no).toMatchObject({ exitCode: 6, screen: expect.stringContaining('nothing was written') });
    expect(existsSync(join(cwd, 'pkbackup.yaml'))).toBe(false);
    const file = ['--config', 'asked.yaml'];
    const yes = await onTerminal(
      [...file, 'init'],
      cwd,
      [
        [volume, 'n\n'],
        ['? [Y/n] ', '\n'],
      ],
      docker,
    );
    expect(yes.exitCode, yes.screen).toBe(0);
    expect(read('asked.yaml')).toContain(
      `  # uploads: { kind: volume, volume: ${name}_uploads } # mounted by "app"`,
    );
    const over = await onTerminal(
      [...file, 'init'],
      cwd,
      [
        [volume, '\n'],
        ['[y/N] ', 'y\n'],
      ],
      docker,
    );
    expect(over.screen).toContain('asked.yaml is there already');
    expect(read('asked.yaml')).toContain('\n  uploads: { kind: volume');
    expect(read('asked.yaml.old')).toContain('\n  # uploads: { kind: volume');
  });

  it('writes with --yes a config file that says where everything was found, without a secret', async () => {
    const { exitCode, stdout, stderr } = await run('init', '--yes', '--json');
    expect(exitCode, stderr).toBe(0);
    const answer = JSON.parse(stdout);
    const text = read();
    expect(answer).toMatchObject({ project: name, written: true, file: join(cwd, 'pkbackup.yaml'), text });
    expect(answer.stores.map(({ store, kind }: Record<string, string>) => `${store} ${kind}`).sort()).toEqual(
      ['events sqlite', 'graph falkordb', 'old neo4j', 'rows postgres', 'uploads volume', 'vectors chromadb'],
    );
    expect(answer.not_understood).toEqual([
      { what: `container "${name}-odd-1"`, why: expect.stringContaining('pkbackup.kind') },
    ]);
    expect(answer.in_no_backup.map(({ store }: { store: string }) => store)).toEqual(['pictures']);
    for (const said of [
      `  # pkbackup-test/chromadb:1, volume "${name}_vectors" at /data\n`,
      `  rows: { kind: postgres, container: ${name}-rows-1, password_env: DB_PASSWORD }\n`,
      '  events: { kind: sqlite, path: ./data/events.db }\n',
      `  # volume "${name}_uploads", mounted by "app" at /uploads\n`,
      '  # pictures: { kind: directory, path: ./pictures }',
      '\nclients: [ app ]\n',
    ]) {
      expect(text).toContain(said);
    }
    expect(`${text}${stdout}${stderr}`).not.toContain(secret);
    expect(text).not.toMatch(/another|host-etc|not\.db/);
    expect((await run('list', '--json')).exitCode).toBe(0);
  });

  it('never writes over what is there, and changes nothing of it', async () => {
    const before = read();
    const { exitCode, stderr } = await run('init', '--yes');
    expect(exitCode).toBe(64);
    expect(lines(stderr)[0]).toBe('error: pkbackup.yaml is there already, and is not written over');
    expect(read()).toBe(before);
  });
});

describe('init --add', () => {
  it('adds one store on a line of its own, and leaves the rest of the file as it is', async () => {
    const volume = await makeVolume(`${name}_media`, {
      'com.docker.compose.project': name,
      'com.docker.compose.volume': 'media',
    });
    const before = read();
    const ran = await run('init', '--add', volume);
    expect(ran).toMatchObject({ exitCode: 0, stdout: 'added media to pkbackup.yaml' });
    const added = `  # volume "${volume}", mounted by no container\n  media: { kind: volume, volume: ${volume} }\n`;
    expect(read().replace(added, '')).toBe(before);
    expect(await run('init', '--add', 'media')).toMatchObject({
      exitCode: 64,
      stderr: expect.stringContaining('is in the config file already'),
    });
    expect(await run('init', '--add', 'meda')).toMatchObject({
      exitCode: 3,
      stderr: expect.stringContaining('did you mean "media"?'),
    });
  });
});

describe('several instances of a stack in one directory', () => {
  it('become one file in which each has a name of its own, or a file and a repository for each', async () => {
    const directory = makeDirectory();
    const [one, two] = [uniqueName('one'), uniqueName('two')];
    for (const each of [one, two]) await project(each, { vectors: servers.vectors }, directory);
    const each = await pkbackup(['init', '--project', two, '--yes', '--config', 'two.yaml'], {
      cwd: directory,
      env: docker,
    });
    expect(each.exitCode, each.stderr).toBe(0);
    const text = readFileSync(join(directory, 'two.yaml'), 'utf8');
    expect(text).toContain(`repository: ./backups/${two}\n`);
    expect(text).toContain(`  vectors: { kind: chromadb, container: ${two}-vectors-1 }`);
    expect(text).not.toContain(one);
    const all = await pkbackup(['init', '--dry-run'], { cwd: directory, env: docker });
    expect(all.stdout).toContain(`  ${one}-vectors: { kind: chromadb, container: ${one}-vectors-1 }`);
    expect(all.stdout).toContain(`  ${two}-vectors: { kind: chromadb, container: ${two}-vectors-1 }`);
  });
});
