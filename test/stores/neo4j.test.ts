import { expect, test } from 'vitest';
import { encodeEntry, endOfArchive, padding } from '../../src/archive/tar-format.ts';
import type { Container } from '../../src/docker/index.ts';
import { isOlderThan } from '../../src/stores/neo4j/paused.ts';
import { StoreCounter } from '../../src/stores/neo4j/records.ts';
import { formOf, isOlder } from '../../src/stores/neo4j/restored.ts';
import { compareSamples, keepTrue, keepTruePatterns, samplesIn } from '../../src/stores/neo4j/samples.ts';
import { parseTables } from '../../src/stores/neo4j/server.ts';
import { neo4j } from '../../src/stores/neo4j.ts';
import { makeContext, piecesOf } from '../docker/bed.ts';

const pageBytes = 8192;

function tarOf(files: Record<string, Buffer>, mtime = 1): Buffer {
  const blocks = Object.entries(files).flatMap(([name, data]) => {
    const attributes = { size: data.length, mode: 0o644, uid: 7474, gid: 7474, mtime };
    return [
      encodeEntry({ path: Buffer.from(name), type: 'file', ...attributes }),
      data,
      padding(data.length),
    ];
  });
  return Buffer.concat([...blocks, endOfArchive]);
}

/** As Neo4j writes them: `aligned` leaves the end of each page unused, `standard` does not. */
function recordFile(size: number, inUse: readonly boolean[], isAligned: boolean): Buffer {
  const perPage = Math.floor(pageBytes / size);
  const offsetOf = (index: number) =>
    isAligned ? Math.floor(index / perPage) * pageBytes + (index % perPage) * size : index * size;
  const pages = Math.ceil((offsetOf(inUse.length) + size) / pageBytes);
  // What is not a first byte must not count.
  const file = Buffer.alloc(pages * pageBytes, 0xff);
  for (let index = 0; offsetOf(index) < file.length; index += 1)
    file[offsetOf(index)] = inUse[index] ? 0x11 : 0x10;
  return file;
}

const header = (format: 'aligned' | 'standard') =>
  Buffer.from(`....\x06record\x01${String.fromCharCode(format.length)}${format}\x01\x01`, 'latin1');

const random = (count: number, seed: number) =>
  Array.from({ length: count }, (_, index) => ((index * 2654435761 + seed) >>> 7) % 3 !== 0);
const inUseOf = (flags: readonly boolean[]) => flags.filter(Boolean).length;

function database(name: string, format: 'aligned' | 'standard', nodes: boolean[], relationships: boolean[]) {
  const isAligned = format === 'aligned';
  return {
    [`./databases/${name}/neostore`]: header(format),
    [`./databases/${name}/neostore.nodestore.db`]: recordFile(15, nodes, isAligned),
    [`./databases/${name}/neostore.relationshipstore.db`]: recordFile(34, relationships, isAligned),
  };
}

async function countsIn(tar: Buffer, chunkBytes?: number) {
  const counter = new StoreCounter();
  for await (const _ of counter.tap(piecesOf(tar, chunkBytes)));
  return counter.counts();
}

test.each(['aligned', 'standard'] as const)(
  'nodes and relationships are counted in the files of the %s format, however they are cut',
  async (format) => {
    const [nodes, relationships] = [random(2000, 1), random(777, 2)];
    const tar = tarOf({
      ...database('neo4j', format, nodes, relationships),
      ...database('system', format, random(10, 3), []),
    });
    const expected = { nodes: inUseOf(nodes), relationships: inUseOf(relationships) };
    for (const chunkBytes of [511, 4096, 65_537, 1 << 20])
      expect(await countsIn(tar, chunkBytes)).toEqual(expected);
  },
);

test('with several databases each one is counted, and all of them', async () => {
  const [a, b] = [random(300, 1), random(40, 2)];
  const tar = tarOf({ ...database('neo4j', 'aligned', a, b), ...database('other', 'aligned', b, a) });
  const [more, less] = [inUseOf(a), inUseOf(b)];
  expect(await countsIn(tar)).toEqual({
    nodes: more + less,
    relationships: more + less,
    'nodes in neo4j': more,
    'relationships in neo4j': less,
    'nodes in other': less,
    'relationships in other': more,
  });
});

test('a format that is not known is not counted at all', async () => {
  const files = database('neo4j', 'aligned', random(100, 1), random(100, 2));
  expect(await countsIn(tarOf({ ...files, './databases/neo4j/neostore': Buffer.from('\x05block') }))).toBe(
    undefined,
  );
  const { './databases/neo4j/neostore': _, ...without } = files;
  expect(await countsIn(tarOf(without))).toBe(undefined);
});

test('what cypher-shell prints is read as rows, whatever is in the strings', () => {
  const text = `name, requestedStatus, currentStatus, statusMessage
"neo4j", "online", "offline", "cannot, or will not: \\"no\\""
"system", "online", "online", ""
versions[0], edition
"5.26.0", "community"
nodes
85716
`;
  expect(parseTables(text.replace('versions[0]', 'version'))).toEqual([
    {
      name: 'neo4j',
      requestedStatus: 'online',
      currentStatus: 'offline',
      statusMessage: 'cannot, or will not: "no"',
    },
    { name: 'system', requestedStatus: 'online', currentStatus: 'online', statusMessage: '' },
    { version: '5.26.0', edition: 'community' },
    { nodes: '85716' },
  ]);
});

test('a server is older by its major or minor release, not by its patch', () => {
  expect(isOlder('5.25.9', '5.26.0')).toBe(true);
  expect(isOlder('5.26.0', '5.26.12')).toBe(false);
  expect(isOlder('4.4.40', '5.1.0')).toBe(true);
  expect(isOlder('2025.06.2', '5.26.0')).toBe(false);
  expect(isOlder('5.3.0', '5.26.0')).toBe(true);
});

test('dumps are told from files by the first file of the archive', async () => {
  const content = (files: Record<string, Buffer>) => ({ tar: () => piecesOf(tarOf(files)) });
  expect(await formOf(content({ './neo4j.dump': Buffer.from('x'), './system.dump': Buffer.from('y') }))).toBe(
    'dumps',
  );
  expect(await formOf(content({ './databases/neo4j/a.dump': Buffer.from('x') }))).toBe('files');
});

test('its container is recognised by its image, and programs beside it are not', () => {
  const container = (
    image: string,
    env: Record<string, string> = {},
    exposedPorts = ['7474/tcp', '7687/tcp'],
  ) => neo4j.recognise?.({ name: 'c', image, env, exposedPorts } as unknown as Container);
  expect(container('neo4j:5.26-community')).toEqual({ container: 'c' });
  expect(container('registry.example/library/neo4j@sha256:0123')).toEqual({ container: 'c' });
  expect(container('registry:5000/ours/graph:1', { NEO4J_EDITION: 'community' })).toEqual({ container: 'c' });
  expect(container('neo4j/neo4j-admin:5.26', { NEO4J_EDITION: 'community' }, [])).toBe(undefined);
  expect(container('registry.example/somebody/neo4j-browser:1')).toBe(undefined);
});

test('the configuration names a container or a volume, and a dump wants a stop', () => {
  expect(neo4j.schema.safeParse({}).success).toBe(false);
  expect(neo4j.schema.safeParse({ container: 'graph', method: 'dump' }).success).toBe(true);
  expect(neo4j.schema.safeParse({ container: 'graph', password: 'x' }).success).toBe(false);
  expect(neo4j.schema.safeParse({ home: '/opt/neo4j', address: 'bolt://localhost:7688' }).success).toBe(true);
  expect(neo4j.schema.safeParse({ home: '/opt/neo4j', container: 'graph' }).success).toBe(false);
  expect(neo4j.quiesce).toMatchObject({ default: 'stop', whenConsistent: 'pause' });
  expect(neo4j.allowedQuiesce?.({ container: 'graph' })).toEqual(['stop', 'pause']);
  expect(neo4j.allowedQuiesce?.({ container: 'graph', method: 'dump' })).toEqual(['stop']);
  expect(neo4j.allowedQuiesce?.({ home: '/opt/neo4j' })).toEqual(['stop']);
  expect(neo4j.quiesce.graceSeconds).toBeGreaterThanOrEqual(120);
});

test('a place to restore to is a volume, a container where that is said, or a directory', () => {
  const target = { container: 'graph', password_env: 'P', method: 'dump' as const, data_path: '/data' };
  expect(neo4j.retarget(target, 'copy')).toEqual({ volume: 'copy', password_env: 'P' });
  expect(neo4j.retarget(target, 'container:other')).toEqual({ container: 'other', password_env: 'P' });
  expect(neo4j.retarget({ ...target, home: '/opt/neo4j' }, '/srv/up')).toEqual({
    home: '/opt/neo4j',
    data_path: '/srv/up',
    password_env: 'P',
  });
  expect(() => neo4j.retarget(target, 'no name')).toThrow(expect.objectContaining({ code: 'usage' }));
});

test('a store file that is missing is found without any tool of Neo4j', async () => {
  const stores = ['nodestore.db.labels', 'relationshipgroupstore.db', 'schemastore.db'];
  for (const part of ['', '.arrays', '.index', '.index.keys', '.strings'])
    stores.push(`propertystore.db${part}`);
  for (const part of ['', '.names'])
    stores.push(`labeltokenstore.db${part}`, `relationshiptypestore.db${part}`);
  const whole = (name: string) => ({
    ...database(name, 'aligned', random(10, 1), random(10, 2)),
    ...Object.fromEntries(stores.map((store) => [`./databases/${name}/neostore.${store}`, Buffer.from('x')])),
    [`./transactions/${name}/neostore.transaction.db.0`]: Buffer.from('x'),
  });
  const files: Record<string, Buffer> = { ...whole('system'), ...whole('neo4j') };
  const { context } = makeContext();
  const facts = { kind: 'neo4j', store: 'graph', source: {}, counts: {} } as const;
  const check = async (those: Record<string, Buffer>, more: object = {}) =>
    (await neo4j.check!({ tar: () => piecesOf(tarOf(those)) }, { ...facts, ...more }, context)).findings;
  expect(await check(files)).toEqual([]);
  // The files of a paused server lag behind what it said.
  const counts = { nodes: 11 };
  expect(await check(files, { counts, quiesce: 'stop' })).toEqual([
    expect.stringMatching(/^expected 11 nodes/),
  ]);
  expect(await check(files, { counts, quiesce: 'pause' })).toEqual([]);
  const store = './databases/neo4j/neostore.propertystore.db.strings';
  const { [store]: _, ...without } = files;
  expect(await check(without)).toEqual(['"databases/neo4j/neostore.propertystore.db.strings" is missing']);
});

test('what a paused server has said counts where its log is older than the question, by more than a tick', () => {
  const asked = [{ asked_at: '1000700' }, { nodes: '3' }];
  expect(isOlderThan(asked, [1_000_500, 1_000_679])).toBe(true);
  expect(isOlderThan(asked, [1_000_500, 1_000_680])).toBe(false);
  expect(isOlderThan(asked, [1_000_900])).toBe(false);
  expect(isOlderThan(asked, [1_000_500, Number.NaN])).toBe(false);
  expect(isOlderThan(asked, [])).toBe(false);
  expect(isOlderThan([{ nodes: '3' }], [1_000_500])).toBe(false);
});

/** As cypher-shell gives the rows of `sampleStatements`. */
const answered = `asked_at
1000700
from_label, type, to_label, occurs
"Document", "CITES", "Source", 900
"Source", "CITES", "Source", 2
node, labels, key, text
0, ":Document", "", ""
0, ":Document", "title", "a \\"title\\", with a comma"
`;
const answersOf = (text: string) => new Map([['neo4j', parseTables(text)]]);

test('samples are patterns and a hash, and hold no content', () => {
  const samples = samplesIn(answersOf(answered));
  expect(samples).toMatchObject([
    { database: 'neo4j', from: 'Document', type: 'CITES', to: 'Source', count: 900, takenAt: 1000 },
    { from: 'Source', count: 2 },
    { nodes_hash: expect.stringMatching(/^[0-9a-f]{16}$/) },
  ]);
  expect(JSON.stringify(samples)).not.toContain('title');
  expect(samplesIn(answersOf('asked_at\n1000700\n'))).toEqual([]);
  expect(samplesIn(answersOf('nodes\n3\n'))).toEqual([]);
});

test.each([
  ['before', 999, 3, 2],
  ['in the second', 1000, 0, 0],
  ['after', 1001, 0, 0],
])(
  'what was last written to %s that they were asked in decides what is kept',
  async (_when, at, all, some) => {
    const samples = samplesIn(answersOf(answered));
    const counterOf = async (files: Record<string, Buffer>) => {
      const counter = new StoreCounter();
      for await (const _ of counter.tap(piecesOf(tarOf(files, at))));
      return counter;
    };
    const log = './transactions/neo4j/neostore.transaction.db.0';
    expect(keepTrue(samples, await counterOf({ [log]: Buffer.alloc(9) }))).toHaveLength(all);
    const files = database('neo4j', 'aligned', [true], [true]);
    expect(keepTrue(samples, await counterOf(files)), 'without a log nothing is known').toEqual([]);
    const kept = keepTruePatterns(samples, await counterOf(files));
    expect(kept).toHaveLength(some);
    for (const sample of kept)
      expect(Object.keys(sample)).toEqual(['database', 'from', 'type', 'to', 'count']);
  },
);

test('other answers than at the backup are findings, and what is no sample is not asked', () => {
  const samples = samplesIn(answersOf(answered));
  expect(
    compareSamples([...samples, { database: 'neo4j', query: 'MATCH (n) DELETE n' }], answersOf(answered)),
  ).toEqual({
    findings: [],
    asked: 3,
  });
  const other = answered.replace('900', '899').replace('comma', 'colon');
  expect(compareSamples(samples, answersOf(other)).findings).toEqual([
    'database "neo4j": expected 900 of (Document)-[CITES]->(Source) among its first relationships, found 899',
    'database "neo4j": its first nodes are not what they were',
  ]);
  expect(compareSamples(samples, new Map()).findings).toHaveLength(3);
});
