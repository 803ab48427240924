import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { encodeEntry, endOfArchive, padding, type TarEntry } from '../../src/archive/tar-format.ts';
import { scanTar } from '../../src/archive/tar-scan.ts';
import {
  bytesOf,
  chromaImage,
  containerOf,
  docker,
  helpersLeft,
  inVolume,
  makeContainer,
  makeVolume,
  removeVolume,
  uniqueName,
  volumeNamed,
} from './bed.ts';

const entry = (path: string, more: Partial<TarEntry> = {}) =>
  encodeEntry({
    path: Buffer.from(path),
    type: 'file',
    size: 0,
    mode: 0o640,
    uid: 999,
    gid: 998,
    mtime: 1_000_000_000,
    ...more,
  });

/** A file of random bytes as a tar that is never in memory as a whole. */
async function* largeFile(path: string, megabytes: number): AsyncGenerator<Buffer> {
  const part = randomBytes(1024 * 1024);
  yield entry(path, { size: megabytes * part.length });
  for (let count = 0; count < megabytes; count += 1) yield part;
  yield padding(megabytes * part.length);
  yield endOfArchive;
}

async function shellContainer(volumes: Record<string, string> = {}): Promise<string> {
  return makeContainer({ volumes });
}

test('a command that ends before its stdin has ended is not waited for any longer', async () => {
  const id = await makeContainer();
  const engine = await docker();
  let isReturned = false;
  async function* stdin() {
    try {
      yield Buffer.from('enough');
      await sleep(500);
      yield Buffer.from('too late');
      await sleep(100);
    } finally {
      isReturned = true;
    }
  }
  const command = ['head', '--bytes=6'] as const;
  const read = bytesOf(engine.execStream(id, { command, stdin: stdin() }));
  expect(await Promise.race([read, sleep(10_000)])).toEqual(Buffer.from('enough'));
  expect(isReturned).toBe(true);
});

test('a source that fails is the error, whatever the command makes of what it got', async () => {
  const id = await makeContainer();
  const engine = await docker();
  async function* stdin() {
    yield Buffer.from('some');
    throw new Error('the source is damaged');
  }
  const read = bytesOf(engine.execStream(id, { command: ['cat'], stdin: stdin() }));
  await expect(read).rejects.toThrow('the source is damaged');
});

test('a command gives both streams, its exit code and what it was given: arguments, environment, stdin', async () => {
  const real = await docker();
  const id = await shellContainer();
  const script = 'printf "%s|%s|" "$1" "$SECRET"; cat; echo complaint >&2; exit 7';
  const input = randomBytes(3_000_000);
  async function* stdin() {
    for (let at = 0; at < input.length; at += 100_000) yield input.subarray(at, at + 100_000);
  }
  const command = ['sh', '-c', script, 'sh', 'with "quotes" $HOME'] as const;
  const { exitCode, stdout, stderr } = await real.exec(id, {
    command,
    env: { SECRET: 'hidden' },
    stdin: stdin(),
  });
  expect({ exitCode, stderr }).toEqual({ exitCode: 7, stderr: 'complaint\n' });
  const head = Buffer.from('with "quotes" $HOME|hidden|');
  expect(stdout.equals(Buffer.concat([head, input]))).toBe(true);
});

test('a large output arrives whole', async () => {
  const real = await docker();
  const id = await shellContainer();
  const hash = createHash('sha256');
  let size = 0;
  for await (const bytes of real.execStream(id, {
    command: ['sh', '-c', 'head -c 100000000 /dev/zero; echo noise >&2'],
  })) {
    hash.update(bytes);
    size += bytes.length;
  }
  expect(size).toBe(100_000_000);
  expect(hash.digest('hex')).toBe(createHash('sha256').update(Buffer.alloc(100_000_000)).digest('hex'));
});

test('a container that is killed in the middle of a command is an error, and so are a missing program and a missing container', async () => {
  const real = await docker();
  const id = await shellContainer();
  const stream = real.execStream(id, { command: ['sh', '-c', 'echo begun; sleep 60; echo ended'] });
  expect((await stream.next()).value?.toString()).toBe('begun\n');
  await containerOf(id).kill();
  await expect(stream.next()).rejects.toMatchObject({ message: expect.stringContaining('exit code 137') });
  const other = await shellContainer();
  expect(await real.exec(other, { command: ['no-such-program'] })).toMatchObject({
    exitCode: expect.toSatisfy((code) => code === 126 || code === 127),
  });
  await expect(real.exec('no-such-container', { command: ['true'] })).rejects.toMatchObject({
    code: 'not_found',
  });
});

test('a command that takes too long, or is aborted, is let go of', async () => {
  const real = await docker();
  const id = await shellContainer();
  await expect(real.exec(id, { command: ['sleep', '60'], deadlineMs: 500 })).rejects.toMatchObject({
    message: 'run "sleep": not finished after 0.5 s',
  });
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 200);
  await expect(real.exec(id, { command: ['sleep', '60'], signal: controller.signal })).rejects.toMatchObject({
    code: 'interrupted',
  });
});

test('a file goes in and out of a volume through a container that never ran', async () => {
  const real = await docker();
  const volume = await makeVolume();
  const mounts = [{ source: volume, target: '/volume', isReadOnly: false }];
  await using helper = await real.createHelper({ image: chromaImage, mounts });
  await real.writeArchive(helper.id, '/volume', largeFile('large', 50));
  expect(await real.pathStat(helper.id, '/volume/large')).toMatchObject({
    name: 'large',
    type: 'file',
    sizeBytes: 50 * 1024 * 1024,
    mode: 0o640,
  });
  expect(await real.pathStat(helper.id, '/volume')).toMatchObject({ type: 'directory' });
  expect(await real.pathStat(helper.id, '/bin')).toMatchObject({ type: 'symlink', linkTarget: '/usr/bin' });
  expect(await real.pathStat(helper.id, '/volume/none')).toBeUndefined();
  const entries: string[] = [];
  let size = 0;
  for await (const piece of scanTar(real.readArchive(helper.id, '/volume/.'))) {
    if (piece.type === 'entry') entries.push(`${piece.entry.path} ${piece.entry.uid}:${piece.entry.gid}`);
    else size += piece.bytes.length;
  }
  expect(entries).toEqual(['./ 0:0', './large 999:998']);
  expect(size).toBe(50 * 1024 * 1024);
});

test('an abort in the middle of reading or writing frees the container at once', async () => {
  const real = await docker();
  const volume = await makeVolume();
  const mounts = [{ source: volume, target: '/volume', isReadOnly: false }];
  await using helper = await real.createHelper({ image: chromaImage, mounts });
  const controller = new AbortController();
  const { signal } = controller;
  setTimeout(() => controller.abort(), 150);
  async function* slow() {
    for await (const part of largeFile('x', 1000)) {
      yield part;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  await expect(real.writeArchive(helper.id, '/volume', slow(), { signal })).rejects.toMatchObject({
    code: 'interrupted',
  });
  expect(await real.container(helper.id, { deadlineMs: 2000 })).toBeDefined();
  for await (const _ of real.readArchive(helper.id, '/usr/.')) break;
  expect(await real.container(helper.id, { deadlineMs: 2000 })).toBeDefined();
});

test('a refusal in the middle of a large write is told as the Engine says it', async () => {
  const real = await docker();
  const volume = await makeVolume();
  await using helper = await real.createHelper({
    image: chromaImage,
    mounts: [{ source: volume, target: '/volume', isReadOnly: true }],
  });
  await expect(real.writeArchive(helper.id, '/volume', largeFile('x', 300))).rejects.toMatchObject({
    message: expect.stringContaining('read-only'),
  });
  async function* bad() {
    for (let count = 0; count < 50; count += 1) yield entry(`f${count}`);
    yield entry('../../../escape');
    yield* largeFile('x', 300);
  }
  await using writable = await real.createHelper({
    image: chromaImage,
    mounts: [{ source: volume, target: '/volume', isReadOnly: false }],
  });
  await expect(real.writeArchive(writable.id, '/volume', bad())).rejects.toMatchObject({
    code: 'failed',
    message: expect.stringMatching(/breakout|invalid|escape/i),
  });
});

test('a one-off run gives output and exit code, sees the volume and no network, and leaves nothing', async () => {
  const real = await docker();
  const volume = await makeVolume();
  const mounts = [{ source: volume, target: '/volume', isReadOnly: false }];
  const script = 'echo "$1 $A" > /volume/made; id -u; ls /sys/class/net; echo wrong >&2; exit 5';
  const command = ['/bin/sh', '-c', script, 'sh', 'an argument'] as const;
  expect(await real.run({ image: chromaImage, mounts, command, env: { A: 'b' } })).toEqual({
    exitCode: 5,
    stdout: '0\nlo\n',
    stderr: 'wrong\n',
  });
  expect(await inVolume(volume, 'cat /v/made')).toBe('an argument b\n');
  expect(await real.run({ image: chromaImage, mounts: [], command: ['/no/such/program'] })).toMatchObject({
    exitCode: 127,
  });
  await expect(
    real.run({ image: chromaImage, mounts: [], command: ['/bin/sleep', '60'], deadlineMs: 500 }),
  ).rejects.toMatchObject({ message: expect.stringContaining('not finished in time') });
  await expect(
    real.run({ image: 'pkbackup-test/none:0', mounts: [], command: ['/bin/true'] }),
  ).rejects.toMatchObject({ code: 'not_found' });
  expect(await helpersLeft()).toEqual([]);
});

test('where the machine has no image, an empty one will do for reading and writing', async () => {
  const real = await docker();
  const volume = await makeVolume();
  const image = await real.makeEmptyImage();
  // Nobody else takes it for one that stays.
  expect(await real.image(image)).toMatchObject({ id: image });
  expect((await real.images()).map(({ id }) => id)).not.toContain(image);
  {
    await using helper = await real.createHelper({
      image,
      mounts: [{ source: volume, target: '/volume', isReadOnly: false }],
    });
    await real.writeArchive(helper.id, '/', largeFile('volume/file', 1));
    expect((await bytesOf(real.readArchive(helper.id, '/volume/.'))).length).toBeGreaterThan(1024 * 1024);
  }
  await real.removeImage(image);
  expect(await real.image(image)).toBeUndefined();
  expect(await inVolume(volume, 'stat -c %s /v/file')).toBe('1048576\n');
});

test('the users of a volume are found by mount, in every state, and helpers are not among them', async () => {
  const real = await docker();
  const volume = await makeVolume();
  const running = await makeContainer({ volumes: { [volume]: '/a' } });
  const created = await makeContainer({ volumes: { [volume]: '/b' }, isStarted: false });
  // Docker's own filter would take a mount point of that name for the volume.
  await makeContainer({ volumes: { [await makeVolume()]: `/${volume}` } });
  await using _helper = await real.createHelper({
    image: chromaImage,
    mounts: [{ source: volume, target: '/volume', isReadOnly: true }],
  });
  const users = await real.containersOf(volume);
  expect(users.map(({ id }) => id).toSorted()).toEqual([running, created].toSorted());
  expect(users.find(({ id }) => id === running)).toMatchObject({
    state: 'running',
    image: chromaImage,
    mounts: [{ type: 'volume', source: volume, destination: '/a', isReadOnly: false }],
  });
});

test('a helper that is being read, and so is locked, keeps nobody waiting', async () => {
  const real = await docker();
  const volume = await makeVolume();
  const user = await makeContainer({ volumes: { [volume]: '/data' }, isStarted: false });
  const mounts = [{ source: volume, target: '/volume', isReadOnly: true }];
  await using helper = await real.createHelper({ image: chromaImage, mounts });
  const reading = real.readArchive(helper.id, '/usr/.');
  await reading.next();
  const soon = { deadlineMs: 5000 };
  expect((await real.containersOf(volume, soon)).map(({ id }) => id)).toEqual([user]);
  expect(await real.orphanHelpers(() => true, soon)).toEqual([]);
  await expect(real.findContainer(uniqueName('none'), soon)).rejects.toMatchObject({ code: 'not_found' });
  await reading.return(undefined);
});

test('a bind mount is found by its path, and by paths above and below it', async () => {
  const real = await docker();
  const id = await makeContainer({ volumes: { '/tmp/pkbackup-bind/data': '/data' } });
  for (const path of ['/tmp/pkbackup-bind/data', '/tmp/pkbackup-bind', '/tmp/pkbackup-bind/data/inner']) {
    expect(
      (await real.containersOf(path)).map((user) => user.id),
      path,
    ).toEqual([id]);
  }
  expect(await real.containersOf('/tmp/pkbackup-bind/dat')).toEqual([]);
});

test('a container is found by name, id and compose service; mistyped names get the near one', async () => {
  const real = await docker();
  const service = uniqueName('service');
  const name = uniqueName('server');
  const labels = { 'com.docker.compose.service': service };
  const id = await makeContainer({ name, isStarted: false, labels });
  for (const wanted of [name, id, id.slice(0, 12), service])
    expect((await real.findContainer(wanted)).id).toBe(id);
  await expect(real.findContainer(`${name}x`)).rejects.toMatchObject({
    code: 'not_found',
    message: `container "${name}x" is not there`,
    hint: expect.stringContaining(`"${name}"`),
  });
  await makeContainer({ isStarted: false, labels });
  await expect(real.findContainer(service)).rejects.toMatchObject({ code: 'ambiguous' });
});

test('health is that of the container, and of the probe where it has no check; an ended container fails at once', async () => {
  const real = await docker();
  const healthy = await makeContainer({ image: chromaImage });
  expect(await real.waitUntilHealthy(healthy, { deadlineMs: 60_000 })).toMatchObject({ health: 'healthy' });
  const plain = await makeContainer();
  let asked = 0;
  const probe = async () => {
    asked += 1;
    if (asked < 3) throw new Error('not yet');
    return true;
  };
  await real.waitUntilHealthy(plain, { probe });
  expect(asked).toBe(3);
  await expect(
    real.waitUntilHealthy(plain, { probe: async () => false, deadlineMs: 500 }),
  ).rejects.toMatchObject({ code: 'unhealthy' });
  const ended = await makeContainer({ command: ['sh', '-c', 'exit 3'] });
  await expect(real.waitUntilHealthy(ended, { probe: async () => false })).rejects.toMatchObject({
    code: 'unhealthy',
    message: expect.stringContaining('ended with exit code 3'),
  });
});

test('volumes are made with their labels, measured, and removed; removing twice is no error', async () => {
  const real = await docker();
  const name = volumeNamed(uniqueName('made'));
  await real.createVolume({ name, labels: { 'pkbackup.test': '1' } });
  await inVolume(name, 'head -c 5000000 /dev/urandom > /v/f');
  expect(await real.volume(name)).toEqual({
    name,
    driver: 'local',
    labels: { 'pkbackup.test': '1' },
    options: {},
    mountpoint: expect.stringContaining(name),
  });
  expect(await real.volumeBytes(name, { deadlineMs: 30_000 })).toBeGreaterThanOrEqual(5_000_000);
  await real.removeVolume(name);
  await real.removeVolume(name);
  expect(await real.volume(name)).toBeUndefined();
  const used = await makeVolume();
  await makeContainer({ volumes: { [used]: '/x' }, isStarted: false });
  await expect(real.removeVolume(used)).rejects.toMatchObject({ message: expect.stringContaining('in use') });
  const gone = await makeVolume();
  await removeVolume(gone);
});
