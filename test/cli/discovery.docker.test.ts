// Stores that nobody wrote down, against a real Engine. Every store is named: other containers of this Engine are not ours.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { requireTestbed } from '../../testbed/index.ts';
import { makeContainer, makeVolume, stateOf, uniqueName } from '../docker/bed.ts';
import { startChroma, untilHealthy } from '../stores/chroma-client.ts';
import { lines, makeDirectory, pkbackup, type Ran } from './program.ts';

const realDocker = { DOCKER_HOST: process.env.DOCKER_HOST ?? '' };
const run = (args: readonly string[], cwd: string): Promise<Ran> => pkbackup(args, { cwd, env: realDocker });
const errorsOf = ({ stderr }: Ran) => lines(stderr).filter((line) => line.startsWith('error: '));

beforeAll(() => requireTestbed('chromadb'));

describe('a container of a known kind', () => {
  it('is backed up, listed and restored by its name, without any config file', async () => {
    const name = uniqueName('vectors');
    const chroma = await startChroma(await makeVolume(), { name });
    const collection = await chroma.createCollection('notes');
    await chroma.add(collection, 0, 50);
    const cwd = makeDirectory();

    const made = await run(['backup', name], cwd);
    expect(made).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/chromadb +held .* s/) });
    expect(made.stderr).toMatch(/stopped .*\n(.*\n)*.*runs again: /);
    expect((await stateOf(chroma.id)).status).toBe('running');
    expect((await run(['verify', '--level', 'content'], cwd)).exitCode).toBe(0);

    // A backup does not wait until the server answers again: that is not its downtime to prolong.
    await untilHealthy(chroma.id);
    await chroma.add(collection, 50, 25);
    const restored = await run(['restore', `${name}@1`, '--yes'], cwd);
    expect(restored).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('is restored') });
    await untilHealthy(chroma.id);
    expect(await chroma.count(collection)).toBe(50);
    expect((await run(['list'], cwd)).stdout).toContain('@pre-restore');
  });

  it('whose name is mistyped is not there, and the near name is said', async () => {
    const name = uniqueName('vectors');
    await makeContainer({ image: 'pkbackup-test/chromadb:1', name, isStarted: false });
    const ran = await run(['backup', `${name}x`], makeDirectory());
    expect(ran.exitCode).toBe(3);
    expect(errorsOf(ran)).toEqual([`error: no such store: "${name}x", did you mean "${name}"?`]);
  });
});

describe('two containers of one compose service', () => {
  it('are ambiguous: both are named, none is touched, and --volume says which', async () => {
    const service = uniqueName('service');
    const labels = { 'com.docker.compose.service': service };
    const [volume, otherVolume] = [await makeVolume(), await makeVolume()];
    const [name, otherName] = [uniqueName('one'), uniqueName('two')];
    const image = 'pkbackup-test/chromadb:1';
    const one = await makeContainer({ image, name, labels, volumes: { [volume]: '/data' } });
    await makeContainer({ image, name: otherName, labels, volumes: { [otherVolume]: '/data' } });
    const before = await stateOf(one);
    const cwd = makeDirectory();

    const ran = await run(['backup', service], cwd);
    expect(ran.exitCode).toBe(3);
    expect(errorsOf(ran)).toHaveLength(1);
    expect(errorsOf(ran)[0]).toContain(`store "${service}" is ambiguous`);
    expect(errorsOf(ran)[0]).toContain(`container "${name}"`);
    expect(errorsOf(ran)[0]).toContain(`container "${otherName}"`);
    expect(await stateOf(one)).toEqual(before);
    expect(existsSync(join(cwd, 'backups'))).toBe(false);

    const chosen = await run(
      ['backup', service, '--volume', volume, '--dry-run', '--allow-empty', '--json'],
      cwd,
    );
    expect(JSON.parse(chosen.stdout).stores).toMatchObject([
      { store: service, look: { source: { volume } } },
    ]);
  });
});

describe('a volume', () => {
  it('whose short name may be one of several is ambiguous, in one line with the candidates', async () => {
    const short = uniqueName('data');
    const [one, two] = [`one_${short}`, `two_${short}`];
    for (const name of [one, two]) {
      await makeVolume(name, { 'com.docker.compose.volume': short, 'com.docker.compose.project': name });
    }
    const cwd = makeDirectory({ 'pkbackup.yaml': `stores: { files: { kind: volume, volume: ${short} } }\n` });
    const ran = await run(['backup'], cwd);
    expect(ran.exitCode).toBe(3);
    expect(errorsOf(ran)).toHaveLength(1);
    expect(errorsOf(ran)[0]).toContain(one);
    expect(errorsOf(ran)[0]).toContain(two);
    expect(readdirSync(join(cwd, 'backups')).filter((name) => !name.startsWith('.pkbackup'))).toEqual([]);
  });

  it('that is not there is not made', async () => {
    const missing = uniqueName('missing');
    const cwd = makeDirectory({
      'pkbackup.yaml': `stores: { files: { kind: volume, volume: ${missing} } }\n`,
    });
    for (let time = 0; time < 2; time++) {
      const ran = await run(['backup'], cwd);
      expect(ran.exitCode).toBe(3);
      expect(errorsOf(ran)).toHaveLength(1);
      expect(errorsOf(ran)[0]).toContain(missing);
    }
  });
});
