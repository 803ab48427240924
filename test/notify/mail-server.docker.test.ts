// The real program and a real mail server (aiosmtpd of Debian): encrypted and not, with a login and without.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, it } from 'vitest';
import { image, requireTestbed } from '../../testbed/index.ts';
import { makeDirectory, pkbackup } from '../cli/program.ts';
import { unpackDebianPackages } from '../debian-packages.ts';
import { containerOf, makeContainer } from '../docker/bed.ts';

const here = dirname(fileURLToPath(import.meta.url));
const libraries = ['python3-aiosmtpd', 'python3-public', 'python3-attr', 'python3-pkg-resources'];
/** Valid for the address that the port is published at. */
const certificate =
  'openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1 -keyout /tmp/key -out /certificate/cert 2>/dev/null';

interface Mail {
  readonly port: number;
  readonly tls: boolean;
  readonly login: string | null;
  readonly from: string;
  readonly to: string[];
  readonly data: string;
}

let ports: { starttls: string; tls: string; plain: string };
let logs: () => Promise<string>;
let authority: string;

beforeAll(async () => {
  await requireTestbed('chromadb06');
  const packages = await unpackDebianPackages(...libraries);
  const directory = makeDirectory();
  authority = join(directory, 'cert');
  const id = await makeContainer({
    image: image.chromadb06,
    entrypoint: ['/bin/sh'],
    command: ['-c', `${certificate} && exec python3 /mail-server.py /certificate/cert /tmp/key`],
    env: ['PYTHONPATH=/packages'],
    more: { User: '0:0', Tty: true, ExposedPorts: { '2587/tcp': {}, '2465/tcp': {}, '2525/tcp': {} } },
    hostConfig: {
      Binds: [
        `${join(packages, 'usr/lib/python3/dist-packages')}:/packages:ro`,
        `${join(here, 'mail-server.py')}:/mail-server.py:ro`,
        `${directory}:/certificate`,
      ],
      PortBindings: Object.fromEntries(
        ['2587/tcp', '2465/tcp', '2525/tcp'].map((port) => [port, [{ HostIp: '127.0.0.1', HostPort: '0' }]]),
      ),
    },
  });
  const container = containerOf(id);
  logs = async () => (await container.logs({ stdout: true, stderr: true, follow: false })).toString();
  for (let tries = 0; !(await logs()).includes('ready') && tries < 300; tries++) await sleep(100);
  const { NetworkSettings } = await container.inspect();
  const portOf = (port: string) => NetworkSettings.Ports[port]?.[0]?.HostPort ?? '';
  ports = { starttls: portOf('2587/tcp'), tls: portOf('2465/tcp'), plain: portOf('2525/tcp') };
});

async function mails(): Promise<Mail[]> {
  const lines = (await logs()).split(/\r?\n/).filter((line) => line.startsWith('{'));
  return lines.map((line) => JSON.parse(line) as Mail);
}

function configured(notify: string): string {
  const common = 'kind: email, to: [me@example.org, you@example.org], from: nas@example.org, host: 127.0.0.1';
  const cwd = makeDirectory({
    'pkbackup.yaml': `notify:\n${notify.replaceAll('COMMON', common)}stores: { memory: { kind: directory, path: memory } }\n`,
  });
  mkdirSync(join(cwd, 'memory'));
  writeFileSync(join(cwd, 'memory', 'note.md'), 'remember');
  return cwd;
}

it('a backup is told by e-mail: with STARTTLS and a login, with TLS, and on this machine without', async () => {
  const cwd =
    configured(`  one: { COMMON, port: ${ports.starttls}, security: starttls, user: me, password_env: MAIL_PASSWORD, on: always }
  two: { COMMON, port: ${ports.tls}, security: tls, on: always }
  three: { COMMON, port: ${ports.plain}, on: always }
`);
  const env = { MAIL_PASSWORD: 'correct-horse', NODE_EXTRA_CA_CERTS: authority };
  const { exitCode, stderr } = await pkbackup(['backup', '--quiet'], { cwd, env });
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  const taken = (await mails()).sort((a, b) => a.port - b.port);
  expect(taken.map(({ port, tls, login }) => ({ port, tls, login }))).toEqual([
    { port: 2465, tls: true, login: null },
    { port: 2525, tls: false, login: null },
    { port: 2587, tls: true, login: 'me' },
  ]);
  for (const mail of taken) {
    expect(mail).toMatchObject({ from: 'nas@example.org', to: ['me@example.org', 'you@example.org'] });
    expect(mail.data).toMatch(/^Subject: backup done on .*: 1 store, /m);
    expect(mail.data).toMatch(/^memory: \d+ B/m);
  }
});

it('a certificate that nobody vouches for, a wrong password, no encryption where it must be: the backup is good', async () => {
  const before = (await mails()).length;
  const cwd =
    configured(`  one: { COMMON, port: ${ports.starttls}, security: starttls, user: me, password_env: MAIL_PASSWORD, on: always }
  two: { COMMON, port: ${ports.tls}, security: tls, on: always }
  three: { COMMON, port: ${ports.plain}, security: starttls, on: always }
`);
  const strangers = await pkbackup(['backup', '--quiet'], { cwd, env: { MAIL_PASSWORD: 'correct-horse' } });
  expect(strangers.exitCode).toBe(0);
  expect(strangers.stderr).toMatch(/message to "one" did not arrive: .*self-signed certificate/);
  expect(strangers.stderr).toMatch(/message to "two" did not arrive: .*self-signed certificate/);
  expect(strangers.stderr).toMatch(/message to "three" did not arrive: /);
  const env = { MAIL_PASSWORD: 'incorrect-horse', NODE_EXTRA_CA_CERTS: authority };
  const wrong = await pkbackup(['notify', 'one', '--test'], { cwd, env });
  expect(wrong).toMatchObject({ exitCode: 1, stdout: expect.stringMatching(/^FAILED +one +email +.*535/) });
  expect(wrong.stdout + wrong.stderr).not.toContain('incorrect-horse');
  expect(await mails()).toHaveLength(before);
});
