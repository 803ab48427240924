// The place of a drill: a volume, a network that leads nowhere and a server, which go together.
import { randomBytes } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import type { Container } from '../../src/docker/index.ts';
import { requireTestbed } from '../../testbed/index.ts';
import { chromaImage, containerOf, docker, throwawaysLeft } from './bed.ts';

beforeAll(() => requireTestbed('chromadb'));

const newId = () => randomBytes(4).toString('hex');
const all = (id: string) => Array.from({ length: 3 }, () => `pkbackup-drill-${id}`);

async function exitCodeIn({ id }: Container, ...command: [string, ...string[]]): Promise<number> {
  return (await (await docker()).exec(id, { command })).exitCode;
}

test('a server runs on the volume, reaches nobody, publishes nothing, and is no store to anybody', async () => {
  const engine = await docker();
  const id = newId();
  {
    await using throwaway = await engine.openThrowaway(id);
    const { volume, network } = throwaway;
    const container = await throwaway.start({
      image: chromaImage,
      mountedAt: ['/data', '/other'],
      env: { A: 'b' },
    });
    await engine.waitUntilHealthy(container.id, {
      probe: async () => (await exitCodeIn(container, 'test', '-e', '/data/chroma.sqlite3')) === 0,
    });
    expect((await throwawaysLeft()).map((name) => name.replace(/^\//, ''))).toEqual(all(id));
    const { HostConfig, NetworkSettings, Config } = await containerOf(container.id).inspect();
    expect(NetworkSettings.Ports['8000/tcp'] ?? null).toBeNull();
    expect(HostConfig.RestartPolicy?.Name).toBe('no');
    expect(Config.Env).toContain('A=b');
    expect((await engine.container(container.id))?.addresses[network]).toMatch(/^\d+(\.\d+){3}$/);
    // One volume at both paths, and no way out.
    expect(await exitCodeIn(container, 'test', '-e', '/other/chroma.sqlite3')).toBe(0);
    expect(await exitCodeIn(container, 'timeout', '2', 'bash', '-c', 'exec 3<>/dev/tcp/1.1.1.1/53')).not.toBe(
      0,
    );
    // Nobody finds it but who knows it.
    expect((await engine.containers()).map(({ name }) => name)).not.toContain(container.name);
    expect(await engine.containersOf(volume)).toEqual([]);
    await expect(engine.findContainer(container.name)).rejects.toMatchObject({ code: 'not_found' });
    expect((await engine.findContainer(container.id)).name).toBe(container.name);
  }
  expect(await throwawaysLeft()).toEqual([]);
});

test('what a dead process has left is found by whose it was, with the helpers on its volume', async () => {
  const engine = await docker();
  const [dead, alive] = [newId(), newId()];
  const left = await engine.openThrowaway(dead);
  await left.start({ image: chromaImage, mountedAt: ['/data'] });
  await engine.createHelper({
    image: chromaImage,
    mounts: [{ source: left.volume, target: '/v', isReadOnly: false }],
  });
  await using _other = await engine.openThrowaway(alive);
  const orphans = await engine.orphanThrowaways(({ pid }) => pid !== process.pid);
  expect(orphans).toEqual(expect.arrayContaining([dead, alive]));
  expect(await engine.orphanThrowaways(() => true)).toEqual([]);

  await engine.clearThrowaway(dead);
  expect(await throwawaysLeft()).toEqual(all(alive).slice(1));
  await engine.clearThrowaway(dead);
});

test('an image that is not there leaves nothing behind', async () => {
  const engine = await docker();
  {
    await using throwaway = await engine.openThrowaway(newId());
    const starting = throwaway.start({ image: 'pkbackup-test/none:0', mountedAt: ['/data'] });
    await expect(starting).rejects.toMatchObject({ code: 'not_found' });
  }
  expect(await throwawaysLeft()).toEqual([]);
});
