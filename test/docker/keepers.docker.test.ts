// A keeper holds image and volumes of a container, and the container is made again from it as it was.
import Dockerode from 'dockerode';
import { expect, test } from 'vitest';
import type { Keeper } from '../../src/docker/index.ts';
import {
  docker,
  helpersLeft,
  makeContainer,
  makeVolume,
  removedAtEnd,
  uniqueName,
  volumeNamed,
} from './bed.ts';

const engine = new Dockerode();

async function makeNetwork(subnet?: string): Promise<string> {
  const Name = uniqueName('network');
  const IPAM = subnet === undefined ? undefined : { Config: [{ Subnet: subnet }] };
  await engine.createNetwork({ Name, Labels: { 'com.example': 'yes' }, ...(IPAM ? { IPAM } : {}) });
  removedAtEnd(Name, () => engine.getNetwork(Name).remove());
  return Name;
}

const guardId = () =>
  Math.floor(Math.random() * 2 ** 32)
    .toString(16)
    .padStart(8, '0');

async function keepOne(id: string, name: string): Promise<{ keeper: Keeper; guardId: string }> {
  const options = { guardId: guardId(), number: 0 };
  const keeper = await (await docker()).keep({ id, name }, options);
  removedAtEnd(keeper.name, () => engine.getContainer(keeper.name).remove({ force: true }));
  return { keeper, guardId: options.guardId };
}

async function madeAgain(keeper: Keeper) {
  const { id } = await (await docker()).remakeKept(keeper);
  removedAtEnd(id, () => engine.getContainer(id).remove({ force: true, v: true }));
  return engine.getContainer(id).inspect();
}

const lasting = ({ Config, HostConfig, Mounts, NetworkSettings }: Dockerode.ContainerInspectInfo) => ({
  config: { ...Config, Env: Config.Env.toSorted() },
  restart: HostConfig.RestartPolicy,
  memory: HostConfig.Memory,
  networkMode: HostConfig.NetworkMode,
  mounts: Mounts.map(({ Name, Destination, RW }) => [Name, Destination, RW]).toSorted(),
  networks: Object.entries(NetworkSettings.Networks)
    .map(([name, { IPAMConfig, Aliases }]) => [
      name,
      IPAMConfig?.IPv4Address ?? '',
      (Aliases ?? []).filter((alias: string) => !/^[0-9a-f]{12}$/.test(alias)),
    ])
    .toSorted(),
});

test('networks, addresses, volumes without a name, variables and labels: all is as it was', async () => {
  const [first, second] = [await makeNetwork('10.213.77.0/24'), await makeNetwork()];
  const volume = await makeVolume();
  const name = uniqueName('kept');
  const id = await makeContainer({
    name,
    volumes: { [volume]: '/named:ro' },
    labels: { 'com.example.token': 'a label' },
    env: ['EXAMPLE_SECRET=not-in-a-label'],
    hostConfig: {
      Binds: [`${volume}:/named:ro`],
      NetworkMode: first,
      Memory: 64 * 1024 * 1024,
      RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 3 },
    },
    more: {
      Hostname: 'kept-host',
      Volumes: { '/without-a-name': {} },
      NetworkingConfig: {
        EndpointsConfig: { [first]: { IPAMConfig: { IPv4Address: '10.213.77.9' }, Aliases: ['vectors'] } },
      },
    },
  });
  await engine.getNetwork(second).connect({ Container: id, EndpointConfig: { Aliases: ['other'] } });
  const before = await engine.getContainer(id).inspect();
  const anonymous = before.Mounts.find(({ Destination }) => Destination === '/without-a-name')?.Name ?? '';
  volumeNamed(anonymous);

  const { keeper, guardId: guard } = await keepOne(id, name);
  const { Config, State } = await engine.getContainer(keeper.name).inspect();
  expect(State.Status).toBe('created');
  expect(JSON.stringify(Config.Labels)).not.toContain('not-in-a-label');

  // What a command may do: the container goes with its volumes, and so does a network.
  await engine.getContainer(id).remove({ force: true, v: true });
  await engine.getNetwork(second).remove();
  await engine.getVolume(anonymous).inspect();
  await expect(engine.getVolume(volume).remove()).rejects.toMatchObject({ statusCode: 409 });

  expect(lasting(await madeAgain(keeper))).toEqual(lasting(before));
  const { Labels } = await engine.getNetwork(second).inspect();
  expect(Labels).toEqual({ 'com.example': 'yes' });
  // A second time, after a crash: not two of them.
  expect(lasting(await madeAgain(keeper))).toEqual(lasting(before));

  const live = await docker();
  expect(await live.orphanHelpers(() => false)).not.toContainEqual(
    expect.objectContaining({ name: keeper.name }),
  );
  await live.removeKeepers(guard);
  expect(await live.keepers(guard)).toEqual([]);
  expect(await helpersLeft()).toEqual([]);
});

test('an image whose tag was given to another one is found, and a keeper that was pruned is made again', async () => {
  const repository = uniqueName('image');
  const tag = (of: string) => engine.getImage(of).tag({ repo: repository, tag: 'latest' });
  removedAtEnd(repository, () => engine.getImage(`${repository}:latest`).remove());
  await tag('pkbackup-test/debian:trixie');
  const name = uniqueName('kept');
  const id = await makeContainer({
    image: `${repository}:latest`,
    command: ['sleep', '60'],
    entrypoint: [],
    name,
  });
  const { Image } = await engine.getContainer(id).inspect();
  const { keeper, guardId: guard } = await keepOne(id, name);
  await engine.getContainer(keeper.name).remove({ force: true });
  await keeper.remake();
  expect((await (await docker()).keepers(guard)).map(({ was }) => was.name)).toEqual([name]);

  await tag('pkbackup-test/chromadb:1');
  const made = await madeAgain(keeper);
  expect(made.Image).toBe(Image);
  expect(made.Config.Image).toBe(
    `${repository}:latest-pkbackup-${Image.replace('sha256:', '').slice(0, 12)}`,
  );
  removedAtEnd(made.Config.Image, () => engine.getImage(made.Config.Image).remove());
});
