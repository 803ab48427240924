// Three instances of one stack side by side, as the replaced scripts had them: private, work and public. Their services have
// the same names; backups never mix, and a restore of one touches no other.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { requireTestbed } from '../../testbed/index.ts';
import { makeVolume, stateOf, uniqueName } from '../docker/bed.ts';
import { type Chroma, startChroma, untilHealthy } from '../stores/chroma-client.ts';
import { lines, makeDirectory, pkbackup } from './program.ts';

interface Instance {
  readonly project: string;
  readonly chroma: Chroma;
  readonly collection: string;
}

const service = uniqueName('vectors');
const cwd = makeDirectory();
let instances: Instance[] = [];

const run = (...args: string[]) =>
  pkbackup(args, { cwd, env: { DOCKER_HOST: process.env.DOCKER_HOST ?? '' } });
const errorsOf = ({ stderr }: { stderr: string }) =>
  lines(stderr).filter((line) => line.startsWith('error: '));
const listed = async (directory: string) => {
  const { stores } = JSON.parse((await run('list', '--backup-dir', directory, '--json')).stdout);
  return stores.flatMap(({ backups }: { backups: { source: { compose_project: string } }[] }) =>
    backups.map(({ source }) => source.compose_project),
  );
};
const states = () => Promise.all(instances.map(async ({ chroma }) => (await stateOf(chroma.id)).startedAt));

async function startInstance(what: string, index: number): Promise<Instance> {
  const project = uniqueName(what);
  const volume = await makeVolume(`${project}_vectors`, {
    'com.docker.compose.project': project,
    'com.docker.compose.volume': 'vectors',
  });
  await makeVolume(`${project}_uploads`, { 'com.docker.compose.project': project });
  const labels = { 'com.docker.compose.project': project, 'com.docker.compose.service': service };
  const chroma = await startChroma(volume, { name: `${project}-${service}-1`, labels });
  const collection = await chroma.createCollection('notes');
  await chroma.add(collection, 0, 10 * (index + 1));
  return { project, chroma, collection };
}

beforeAll(async () => {
  await requireTestbed('chromadb');
  instances = await Promise.all(['private', 'work', 'public'].map(startInstance));
});

describe('three instances of one stack', () => {
  it('are ambiguous together: each is named, and none is touched', async () => {
    const before = await states();
    const ran = await run('backup', service);
    expect(ran.exitCode).toBe(3);
    expect(errorsOf(ran)).toHaveLength(1);
    for (const { project } of instances) expect(errorsOf(ran)[0]).toContain(`"${project}-${service}-1"`);
    expect(await states()).toEqual(before);
  });

  it('have backups that never mix, in one repository by mistake or in one for each', async () => {
    for (const { project } of instances) {
      const ran = await run('backup', '--project', project, '--backup-dir', `backups/${project}`);
      expect(ran, ran.stderr).toMatchObject({ exitCode: 0 });
      expect(ran.stderr).toContain(`1 volume in no backup: "${project}_uploads"`);
      expect(await listed(`backups/${project}`)).toEqual([project]);
    }
    const [privateOne, work] = instances as [Instance, Instance];
    const before = await states();
    const mixed = await run(
      'backup',
      '--project',
      work.project,
      '--backup-dir',
      `backups/${privateOne.project}`,
    );
    expect(mixed.exitCode).toBe(3);
    expect(errorsOf(mixed)[0]).toContain(
      `has backups of project "${privateOne.project}" under this name, and this is project "${work.project}"`,
    );
    expect(await listed(`backups/${privateOne.project}`)).toEqual([privateOne.project]);
    expect(await states()).toEqual(before);
  });

  it('are restored one by one: no other is stopped, and none gets what is not its own', async () => {
    const [privateOne, work, publicOne] = instances as [Instance, Instance, Instance];
    for (const { chroma } of instances) await untilHealthy(chroma.id);
    for (const { chroma, collection } of instances) await chroma.add(collection, 100, 5);
    const before = await states();
    const repository = ['--backup-dir', `backups/${work.project}`];
    const wrong = await run(
      'restore',
      `${service}@1`,
      ...repository,
      '--project',
      privateOne.project,
      '--yes',
    );
    expect(wrong.exitCode).toBe(3);
    expect(errorsOf(wrong)[0]).toContain(`is of project "${work.project}"`);
    expect(await states()).toEqual(before);

    const right = await run('restore', `${service}@1`, ...repository, '--project', work.project, '--yes');
    expect(right, right.stderr).toMatchObject({ exitCode: 0 });
    await untilHealthy(work.chroma.id);
    const counts = await Promise.all(instances.map(({ chroma, collection }) => chroma.count(collection)));
    expect(counts).toEqual([15, 20, 35]);
    const after = await states();
    expect([after[0], after[2]]).toEqual([before[0], before[2]]);
    expect(await listed(`backups/${publicOne.project}`)).toEqual([publicOne.project]);
  });

  it('have a config file each, which "init" writes, and a status of their own', async () => {
    const configOf = ({ project }: Instance) => ['--config', `${project}.yaml`];
    for (const { chroma } of instances) await untilHealthy(chroma.id);
    for (const instance of instances) {
      const { project } = instance;
      const made = await run(
        'init',
        '--yes',
        '--project',
        project,
        ...configOf(instance),
        '--backup-dir',
        project,
      );
      expect(made, made.stderr).toMatchObject({ exitCode: 0 });
      const written = readFileSync(join(cwd, `${project}.yaml`), 'utf8');
      // The disk of the machine that runs the tests is nobody's business.
      writeFileSync(join(cwd, `${project}.yaml`), `max_disk_use: 100\n${written}`);
      for (const other of instances) expect(written.includes(other.project)).toBe(other === instance);
      expect((await run('status', ...configOf(instance), '--backup-dir', project)).exitCode).toBe(9);
    }
    for (const [index, instance] of instances.entries()) {
      const { project } = instance;
      const ran = await run('backup', service, ...configOf(instance), '--backup-dir', project);
      expect(ran, ran.stderr).toMatchObject({ exitCode: 0 });
      for (const [at, other] of instances.entries()) {
        const { exitCode } = await run('status', service, ...configOf(other), '--backup-dir', other.project);
        expect(exitCode, `status of ${other.project} after the backup of ${project}`).toBe(
          at <= index ? 0 : 9,
        );
      }
    }
    const [, work] = instances as [Instance, Instance, Instance];
    for (const { chroma, collection } of instances) {
      await untilHealthy(chroma.id);
      await chroma.add(collection, 200, 7);
    }
    const before = await states();
    const counts = () => Promise.all(instances.map(({ chroma, collection }) => chroma.count(collection)));
    const [first, , third] = await counts();
    const repository = ['--backup-dir', work.project];
    const restored = await run('restore', `${service}@1`, ...configOf(work), ...repository, '--yes');
    expect(restored, restored.stderr).toMatchObject({ exitCode: 0 });
    await untilHealthy(work.chroma.id);
    expect(await counts()).toEqual([first, 20, third]);
    const after = await states();
    expect([after[0], after[2]]).toEqual([before[0], before[2]]);
  });
});
