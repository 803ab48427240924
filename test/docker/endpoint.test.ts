import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Environment, findEndpoint } from '../../src/docker/endpoint.ts';

let homeDir: string;
beforeEach(async () => {
  homeDir = await mkdtemp(join(tmpdir(), 'pkbackup-home-'));
});
afterEach(() => rm(homeDir, { recursive: true, force: true }));

const find = (environment: Environment = {}, platform: NodeJS.Platform = 'linux') =>
  findEndpoint(environment, { homeDir, platform, userId: 1000 });

async function writeConfig(config: object): Promise<void> {
  await mkdir(join(homeDir, '.docker'), { recursive: true });
  await writeFile(join(homeDir, '.docker', 'config.json'), JSON.stringify(config));
}

async function writeContext(name: string, host: string, tls: Record<string, string> = {}): Promise<void> {
  const digest = createHash('sha256').update(name).digest('hex');
  const meta = join(homeDir, '.docker', 'contexts', 'meta', digest);
  await mkdir(meta, { recursive: true });
  await writeFile(
    join(meta, 'meta.json'),
    JSON.stringify({ Name: name, Endpoints: { docker: { Host: host, SkipTLSVerify: false } } }),
  );
  const directory = join(homeDir, '.docker', 'contexts', 'tls', digest, 'docker');
  await mkdir(directory, { recursive: true });
  for (const [file, text] of Object.entries(tls)) await writeFile(join(directory, file), text);
}

test('DOCKER_HOST goes before DOCKER_CONTEXT, and that before the current context', async () => {
  await writeConfig({ currentContext: 'current' });
  await writeContext('current', 'unix:///current.sock');
  await writeContext('named', 'unix:///named.sock');
  expect(await find()).toEqual({
    kind: 'socket',
    socketPath: '/current.sock',
    url: 'unix:///current.sock',
    namedBy: 'context "current"',
  });
  expect(await find({ DOCKER_CONTEXT: 'named' })).toMatchObject({ socketPath: '/named.sock' });
  expect(await find({ DOCKER_CONTEXT: 'named', DOCKER_HOST: 'unix:///host.sock' })).toMatchObject({
    socketPath: '/host.sock',
    namedBy: 'DOCKER_HOST',
  });
  expect(await find({ DOCKER_CONTEXT: 'default', XDG_RUNTIME_DIR: homeDir })).toMatchObject({
    namedBy: 'default',
  });
});

test('pipes, hosts and ports are understood', async () => {
  expect(await find({ DOCKER_HOST: 'npipe:////./pipe/dockerDesktopLinuxEngine' })).toMatchObject({
    socketPath: '//./pipe/dockerDesktopLinuxEngine',
  });
  expect(await find({}, 'win32')).toMatchObject({ kind: 'socket', socketPath: '//./pipe/docker_engine' });
  expect(await find({ DOCKER_HOST: 'tcp://10.0.0.1:1234' })).toMatchObject({
    kind: 'tcp',
    host: '10.0.0.1',
    port: 1234,
  });
  expect(await find({ DOCKER_HOST: '10.0.0.1' })).toMatchObject({ host: '10.0.0.1', port: 2375 });
  expect(await find({ DOCKER_HOST: 'tcp://h:2376' })).toMatchObject({
    port: 2376,
    tls: { skipsVerify: false },
  });
});

test('certificates come from DOCKER_CERT_PATH or from the context', async () => {
  await writeFile(join(homeDir, 'ca.pem'), 'authority');
  await writeFile(join(homeDir, 'key.pem'), 'private');
  const environment = { DOCKER_HOST: 'tcp://h', DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: homeDir };
  expect(await find(environment)).toMatchObject({
    port: 2376,
    tls: { ca: Buffer.from('authority'), key: Buffer.from('private'), skipsVerify: false },
  });
  expect(await find({ ...environment, DOCKER_TLS_VERIFY: '', DOCKER_TLS: '1' })).toMatchObject({
    tls: { skipsVerify: true },
  });
  await writeContext('remote', 'tcp://h', { 'ca.pem': 'theirs' });
  expect(await find({ DOCKER_CONTEXT: 'remote' })).toMatchObject({
    port: 2376,
    tls: { ca: Buffer.from('theirs') },
  });
});

test.each<[Environment, RegExp]>([
  [
    { DOCKER_HOST: 'ssh://me@host' },
    /^DOCKER_HOST "ssh:\/\/me@host" goes through ssh, which is not supported$/,
  ],
  [{ DOCKER_HOST: 'gopher://host' }, /is not an address of Docker$/],
  [{ DOCKER_HOST: 'tcp://' }, /is not an address of Docker$/],
  [{ DOCKER_CONTEXT: 'missing' }, /^Docker context "missing" is not there$/],
])('%j is refused with a hint', async (environment, message) => {
  await expect(find(environment)).rejects.toMatchObject({
    code: 'docker_unreachable',
    message: expect.stringMatching(message),
    hint: expect.any(String),
  });
});

test('a broken config file is named', async () => {
  await mkdir(join(homeDir, '.docker'));
  await writeFile(join(homeDir, '.docker', 'config.json'), '{"currentContext": ');
  await expect(find()).rejects.toMatchObject({
    message: expect.stringContaining('config.json" is not JSON'),
  });
});
