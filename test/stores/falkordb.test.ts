import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { encodeEntry, endOfArchive, padding } from '../../src/archive/tar-format.ts';
import type { Container } from '../../src/docker/index.ts';
import { Crc64 } from '../../src/stores/falkordb/crc64.ts';
import { connectOnHost } from '../../src/stores/falkordb/on-host.ts';
import { type RdbFacts, RdbReader } from '../../src/stores/falkordb/rdb.ts';
import { ask } from '../../src/stores/falkordb/server.ts';
import { formatsOf, refuseNewer } from '../../src/stores/falkordb/versions.ts';
import { falkordb } from '../../src/stores/falkordb.ts';
import type { BackupFacts, Content } from '../../src/stores/store.ts';
import { makeTempDir } from '../archive/gather.ts';
import { makeContext } from '../docker/bed.ts';

/** Of a real FalkorDB 4.16.3 on Redis 8.2.3, with keys of every type. */
const dump = readFileSync(join(import.meta.dirname, 'fixtures/falkordb-4.16.3.rdb'));
const counts = { graphs: 2, nodes: 26, edges: 12, other_keys: 17 };

function read(bytes: Buffer, pieceBytes = bytes.length): RdbFacts {
  const reader = new RdbReader();
  for (let at = 0; at < bytes.length; at += pieceBytes) reader.push(bytes.subarray(at, at + pieceBytes));
  return reader.end();
}

/** As a server would have written it: with the right checksum. */
function sealed(body: Buffer): Buffer {
  const crc = new Crc64();
  crc.update(body);
  return Buffer.concat([body, crc.digest()]);
}

const body = dump.subarray(0, -8);

test('the checksum is the one of Redis', () => {
  const crc = new Crc64();
  crc.update(Buffer.from('12345'));
  crc.update(Buffer.from('6789'));
  expect(crc.digest().reverse().toString('hex')).toBe('e9c6d914c4b8d9ca');
});

test('a dump tells its graphs, whatever the pieces in which it comes', () => {
  for (const size of [dump.length, 4096, 7, 1]) {
    expect(read(dump, size)).toMatchObject({
      bytes: dump.length,
      format: 12,
      redisVersion: '8.2.3',
      graphEncoding: 18,
      graphs: [
        { name: 'small', nodes: 24, edges: 12 },
        { name: 'other', nodes: 2, edges: 0 },
      ],
      keys: 21,
      otherKeys: 17,
      findings: [],
      unknown: undefined,
    });
  }
});

test('what it was given is not needed afterwards', () => {
  const reader = new RdbReader();
  for (let at = 0; at < dump.length; at += 97) {
    const piece = Buffer.from(dump.subarray(at, at + 97));
    reader.push(piece);
    piece.fill(0xff);
  }
  expect(reader.end()).toEqual(read(dump));
});

test('every flipped bit is found', () => {
  for (let at = 0; at < dump.length; at += 41) {
    const bad = Buffer.from(dump);
    bad[at] = (bad[at] ?? 0) ^ (1 << (at % 8));
    const { findings, unknown } = read(bad);
    expect(findings.length, `byte ${at}: ${unknown}`).toBeGreaterThan(0);
  }
});

test('a dump that is cut anywhere, or has something behind its end, is found', () => {
  for (let length = 0; length < dump.length; length += 101) {
    expect(read(dump.subarray(0, length)).findings, `${length} bytes`).toHaveLength(1);
  }
  for (const more of [1, 8, 4096]) {
    const long = Buffer.concat([dump, Buffer.alloc(more)]);
    expect(read(long).findings[0]).toMatch(/behind the end/);
    expect(read(long, 1000).findings[0]).toMatch(/behind the end/);
  }
});

test('a server that writes no checksum is believed', () => {
  expect(read(Buffer.concat([body, Buffer.alloc(8)])).findings).toEqual([]);
});

test('a graph as older servers write it, each number on its own, is counted', () => {
  const id = Buffer.from(dump.subarray(dump.indexOf(Buffer.from([0xf7, 0x81])) + 2).subarray(0, 8));
  id[6] = 0x68 | 0;
  id[7] = 16;
  const graph = (name: string, nodes: number, edges: number) =>
    Buffer.concat([
      Buffer.from([7, name.length]),
      Buffer.from(name),
      Buffer.from([0x81]),
      id,
      Buffer.from([5, name.length + 1]),
      Buffer.from(`${name}\0`),
      Buffer.from([2, nodes, 2, edges, 2, 0, 4, ...Buffer.alloc(8), 0]),
    ]);
  const old = Buffer.concat([
    Buffer.from('REDIS0011'),
    Buffer.from([0xfe, 0, 0xfb, 2, 0]),
    graph('a', 5, 3),
    graph('bc', 7, 0),
    Buffer.from([0xff]),
  ]);
  expect(read(sealed(old))).toMatchObject({
    format: 11,
    graphs: [
      { name: 'a', nodes: 5, edges: 3 },
      { name: 'bc', nodes: 7, edges: 0 },
    ],
    findings: [],
  });
});

test('a type that came later is said to be unknown, and is no damage', () => {
  const later = Buffer.from('REDIS0013\xfe\x00\x63\x01k\x03abc\xff', 'latin1');
  expect(read(sealed(later))).toMatchObject({ findings: [], unknown: expect.stringMatching(/type.*\(99\)/) });
  const damaged = sealed(later);
  damaged[14] = 0x7a;
  expect(read(damaged).findings).toHaveLength(1);
});

function contentOf(file: Buffer, name = 'dump.rdb', before: Buffer[] = []): Content {
  const entry = {
    path: Buffer.from(name),
    type: 'file',
    size: file.length,
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtime: 0,
  };
  const tar = [...before, encodeEntry({ ...entry, type: 'file' }), file, padding(file.length), endOfArchive];
  return {
    async *tar() {
      yield* tar;
    },
  };
}

const root = encodeEntry({
  path: Buffer.from('./'),
  type: 'directory',
  size: 0,
  mode: 0o755,
  uid: 0,
  gid: 0,
  mtime: 0,
});

const factsWith = (more: Partial<BackupFacts> = {}): BackupFacts => ({
  kind: 'falkordb',
  store: 'graph',
  source: { path: '/var/lib/falkordb/data/my.rdb' },
  counts,
  ...more,
});

test('a backup is checked in both of its forms, and against what its metadata says', async () => {
  const { context } = makeContext();
  const alone = await falkordb.check!(contentOf(dump), factsWith(), context);
  const notChecked = ['redis-check-rdb has not read the dump: the backup does not name its image'];
  expect(alone).toEqual({ findings: [], counts, notChecked });
  const directory = await falkordb.check!(contentOf(dump, './my.rdb', [root]), factsWith(), context);
  expect(directory).toEqual({ findings: [], counts, notChecked });
  const fewer = await falkordb.check!(
    contentOf(dump),
    factsWith({ counts: { ...counts, nodes: 27 } }),
    context,
  );
  expect(fewer.findings).toEqual(['nodes: expected 27, found 26']);
  const cut = await falkordb.check!(contentOf(dump.subarray(0, 999)), factsWith(), context);
  expect(cut.findings).toEqual(['the dump ends in the middle, after 999 bytes']);
  const none = falkordb.check!(contentOf(dump, './dump.rdb', [root]), factsWith(), context);
  await expect(none).rejects.toMatchObject({ code: 'bad_backup', message: 'there is no "my.rdb" in it' });
});

test('an older server is refused for a newer dump, and both versions are named', () => {
  const facts = read(dump);
  const made = '4.16.3 (redis 8.2.3)';
  for (const [redis, module] of [
    ['7.4.2', '4.10.0'],
    ['7.2.4', '4.16.3'],
    ['7.4.2', '4.4.1'],
  ] as const) {
    const refused = () => refuseNewer(facts, { redis, falkordb: module }, made);
    expect(refused).toThrow(/made by FalkorDB 4\.16\.3 \(redis 8\.2\.3\)/);
    expect(refused).toThrow(`the server is FalkorDB ${module} (redis ${redis})`);
  }
  for (const [redis, module] of [
    ['8.2.3', '4.16.3'],
    ['7.4.2', '4.12.0'],
    ['8.6.3', '4.20.1'],
    ['9.0.0', '5.0.0'],
  ] as const) {
    refuseNewer(facts, { redis, falkordb: module }, made);
  }
  const later = formatsOf('4.18.7 (redis 8.2.2)');
  expect(later).toEqual({ format: 12, graphEncoding: 19 });
  expect(() => refuseNewer(later, { redis: '8.2.3', falkordb: '4.16.3' }, '4.18.7')).toThrow(
    /graph encoding 19/,
  );
});

test('the server is recognised, and programs that only talk to it are not', () => {
  const container = (image: string, env: Record<string, string>, exposedPorts: string[]) =>
    ({ name: 'stack-graph-1', image, env, exposedPorts }) as unknown as Container;
  const found = { container: 'stack-graph-1' };
  const redis = ['6379/tcp'];
  expect(falkordb.recognise?.(container('falkordb/falkordb:v4.16.3', {}, redis))).toEqual(found);
  expect(falkordb.recognise?.(container('registry.example/x/falkordb-server@sha256:00', {}, redis))).toEqual(
    found,
  );
  expect(falkordb.recognise?.(container('own/graph', { FALKORDB_ARGS: '' }, redis))).toEqual(found);
  expect(falkordb.recognise?.(container('redis:8', {}, redis))).toBeUndefined();
  expect(
    falkordb.recognise?.(container('falkordb/falkordb-browser', { FALKORDB_HOST: 'graph' }, ['3000/tcp'])),
  ).toBeUndefined();
  expect(
    falkordb.recognise?.(container('falkordb/mcpserver', { FALKORDB_HOST: 'graph' }, ['3000/tcp'])),
  ).toBeUndefined();
});

test.each([
  [{}, /expected one of "container", "url_env" and "host"/],
  [{ container: 'graph', host: '127.0.0.1' }, /expected one of/],
  [{ url_env: 'URL', port: 6380 }, /"port" goes with/],
  [{ host: '/run/falkordb.sock', port: 6380 }, /"port" goes with/],
  [{ container: 'graph', tools: '/usr/bin' }, /a container has its own/],
  [{ host: 'db', tools: 'bin' }, /expected the whole path/],
  [{ host: 'db', volume: 'graph' }, /"volume" goes with "container"/],
])('%j cannot be configured', (target, message) => {
  const issues = falkordb.schema.safeParse(target).error?.issues.map((issue) => issue.message);
  expect(issues?.join('; ')).toMatch(message);
});

/** Tells how it was run, as an answer of a server would come. */
const telling = `#!/bin/sh
printf '["%s"' "$REDISCLI_AUTH"
for word in "$@"; do printf ',"%s"' "$word"; done
echo ]
`;

test.each([
  [{ host: 'db' }, {}, ['', '-h', 'db', '-p', '6379']],
  [
    { host: '/run/f.sock', user: 'keeper' },
    { REDISCLI_AUTH: 'usual one' },
    ['usual one', '-s', '/run/f.sock'],
  ],
  [
    { url_env: 'URL' },
    { URL: 'redis://keeper:p%40ss%3Aword@[::1]:6380' },
    ['p@ss:word', '-h', '::1', '-p', '6380'],
  ],
  [
    { url_env: 'URL', password_env: 'WORD' },
    { URL: 'rediss://:other@db/?cacert=%2Fetc%2Fca.pem', WORD: 'wins over it' },
    ['wins over it', '-h', 'db', '-p', '6379', '--tls', '--cacert', '/etc/ca.pem'],
  ],
])(
  'redis-cli of this host is told %j, and the password by its environment alone',
  async (target, env, how) => {
    const tools = makeTempDir();
    writeFileSync(join(tools, 'redis-cli'), telling, { mode: 0o755 });
    const { context } = makeContext();
    const environment = { PATH: process.env.PATH, ...env };
    const server = await connectOnHost({ ...target, tools }, { ...context, environment });
    const user = server.user === undefined ? [] : ['--user', 'keeper'];
    expect(await ask(server, ['PING'])).toEqual([...how, '-e', '--json', ...user, 'PING']);
    expect(`${server.where} ${server.url}`).not.toContain('p@ss');
  },
);

test.each([
  [{ url_env: 'URL' }, 'http://db:6379', /holds no URL of a server/],
  [{ url_env: 'URL' }, 'not a url', /holds no URL of a server/],
  [{ url_env: 'URL' }, 'rediss://db?ca=x', /has the parameter "ca"/],
  [{ url_env: 'URL' }, 'redis://db?cacert=x', /has the parameter "cacert"/],
])('%j with %s is refused', async (target, URL, message) => {
  const { context } = makeContext();
  await expect(connectOnHost(target, { ...context, environment: { URL } })).rejects.toMatchObject({
    code: 'config',
    message: expect.stringMatching(message),
  });
});

test('without redis-cli, that is said', async () => {
  const { context } = makeContext();
  const server = await connectOnHost({ host: 'db', tools: '/nowhere' }, { ...context, environment: {} });
  await expect(ask(server, ['PING'])).rejects.toMatchObject({
    code: 'config',
    message: 'there is no redis-cli here to ask the server at db:6379',
  });
});
