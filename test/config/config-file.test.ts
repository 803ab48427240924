import { homedir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { parseConfig } from '../../src/config/config-file.ts';
import { checked, type Issue } from '../../src/config/issues.ts';
import { stores } from '../../src/stores/index.ts';

const directory = process.platform === 'win32' ? 'C:\\srv\\stack' : '/srv/stack';
const parse = (text: string) => parseConfig(text, join(directory, 'pkbackup.yaml'), 'pkbackup.yaml', {});

function mistakes(text: string): string[] {
  try {
    parse(text);
  } catch (error) {
    return (error as Error).message.split('\n');
  }
  return [];
}

describe('a good config file', () => {
  it('names the clients of a store', () => {
    const text = 'stores:\n  a: { kind: volume, volume: v, clients: [api], hold_dependents: true }\n';
    expect(parse(text).stores).toMatchObject([{ clients: ['api'], holdDependents: true }]);
    expect(mistakes('stores:\n  a: { kind: volume, volume: v, clients: [] }\n')).toEqual([
      'pkbackup.yaml:2: stores.a.clients: expected something that is not empty, got a list',
    ]);
  });

  it('gives absolute paths, stores with their targets, and where each was said', () => {
    const config = parse(`
repository: ./b
retention: { keep_daily: 7 }
compression: zstd
stores:
  events: { kind: sqlite, path: data/events.db, allow_empty: true }
  memory:
    kind: directory
    path: ~/memory
    exclude: ["logs/"]
    compression: gzip
    compression_level: 9
`);
    expect(config).toMatchObject({
      repository: join(directory, 'b'),
      retention: { keepDaily: 7 },
      compression: 'zstd',
    });
    expect(config.stores).toMatchObject([
      { name: 'events', kind: 'sqlite', allowEmpty: true, origin: 'pkbackup.yaml:6' },
      {
        name: 'memory',
        kind: 'directory',
        compression: 'gzip',
        compressionLevel: 9,
        origin: 'pkbackup.yaml:7',
      },
    ]);
    expect(config.stores[0]?.target).toMatchObject({ path: join(directory, 'data', 'events.db') });
    expect(config.stores[1]?.target).toMatchObject({ path: join(homedir(), 'memory') });
  });

  it('says when, for all stores and for single ones', () => {
    const config = parse(`
schedule: "0 3 * * *"
time_zone: Europe/Berlin
stores:
  a: { kind: sqlite, path: a.db }
  b: { kind: sqlite, path: b.db, schedule: "@hourly", time_zone: UTC }
  c: { kind: sqlite, path: c.db, schedule: never }
`);
    expect(config).toMatchObject({ schedule: '0 3 * * *', timeZone: 'Europe/Berlin' });
    expect(config.stores.map(({ schedule, timeZone }) => [schedule, timeZone])).toEqual([
      [undefined, undefined],
      ['@hourly', 'UTC'],
      ['never', undefined],
    ]);
  });

  it('may be empty', () => {
    expect(parse('')).toEqual({
      name: 'pkbackup.yaml',
      path: join(directory, 'pkbackup.yaml'),
      stores: [],
    });
  });
});

describe('every mistake is a line with its key', () => {
  it.each([
    ['retension: {}', '1: retension: unknown key, did you mean "retention"?'],
    ['xyzzy: 1', '1: xyzzy: unknown key (known are repository, '],
    ['retention: { keep_dialy: 3 }', '1: retention.keep_dialy: unknown key, did you mean "keep_daily"?'],
    ['retention: { keep_daily: 0 }', '1: retention.keep_daily: expected at least 1, got 0'],
    ['retention: { keep_daily: many }', '1: retention.keep_daily: expected a number, got "many"'],
    ['retention: { keep_within: 30 }', '1: retention.keep_within: expected a text, got 30'],
    ['retention: { keep_within: 30x }', 'expected a duration such as 30d, 12h or 6w, got "30x"'],
    ['retention: {}', '1: retention: expected at least one rule: keep_last'],
    [
      'retention: { keep_last: 1, time_zone: Mars/Crater }',
      'expected a time zone such as Europe/Berlin, got',
    ],
    ['retention: { max_size: 50 }', '1: retention.max_size: expected a text, got 50'],
    ['retention: { max_size: 50XB }', 'expected a size such as 50GB or 500MiB, got "50XB"'],
    ['retention: { time_zone: UTC }', '1: retention: expected at least one rule'],
    ['schedule: nightly', '1: schedule: expected a cron expression such as "0 3 * * *" with five fields'],
    ['schedule: "0 25 * * *"', 'expected range 0-23), got "0 25 * * *"'],
    ['schedule: never', 'got "never"'],
    ['time_zone: Berlin', '1: time_zone: expected a time zone such as Europe/Berlin, got "Berlin"'],
    [
      'stores:\n  a: { kind: sqlite, path: x, schedule: nevr }',
      '2: stores.a.schedule: expected a cron expression such as "0 3 * * *" with five fields',
    ],
    ['repository: [a]', '1: repository: expected a text, got a list'],
    ['repository: ""', '1: repository: expected something that is not empty, got ""'],
    ['repository:', '1: repository: expected a text, got nothing'],
    ['compression: zip', '1: compression: expected one of gzip, zstd, got "zip", did you mean "gzip"?'],
    ['compression_level: 1.5', '1: compression_level: expected a whole number, got 1.5'],
    ['stores: [a]', '1: stores: expected a mapping, got a list'],
    ['stores:\n  a: 5', '2: stores.a: expected a mapping, got 5'],
    ['stores:\n  a: {}', '2: stores.a.kind: missing (expected one of '],
    ['stores:\n  a: { kind: sqlit, path: x }', 'got "sqlit", did you mean "sqlite"?'],
    ['stores:\n  a: { kind: sqlite, path: x, pth: y }', '2: stores.a.pth: unknown key, did you mean "path"?'],
    [
      'stores:\n  a: { kind: sqlite, path: x, quisce: none }',
      '2: stores.a.quisce: unknown key, did you mean "quiesce"?',
    ],
    ['stores:\n  a:\n    kind: sqlite\n    path: 5', '4: stores.a.path: expected a text, got 5'],
    ['stores:\n  a: { kind: sqlite }', '2: stores.a.path: missing (expected a text)'],
    [
      'stores:\n  a: { kind: sqlite, path: x, quiesce: freeze }',
      'expected one of none, pause, stop, got "freeze"',
    ],
    [
      'stores:\n  a: { kind: neo4j, container: c, method: dump, quiesce: pause }',
      '2: stores.a.quiesce: expected stop for kind neo4j, got "pause"',
    ],
    ['stores:\n  a@b: { kind: sqlite, path: x }', '2: stores.a@b: the store name "a@b" cannot be used'],
    ['stores:\n  nul: { kind: sqlite, path: x }', '2: stores.nul: the store name "nul" cannot be used'],
    [
      'stores:\n  a: { kind: sqlite, path: x }\n  A: { kind: sqlite, path: y }',
      '3: stores.A: differs from "a" by case only',
    ],
  ])('%j', (text, expected) => {
    const found = mistakes(text);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(/^pkbackup\.yaml:\d+: /);
    expect(found[0]).toContain(expected);
  });

  it('all of them at once, in the order of the lines', () => {
    const text = 'stores:\n  a: { kind: sqlit }\n  b: { kind: directory }\nretention: 5\nx: 1\n';
    expect(mistakes(text).map((line) => line.split(' ')[0])).toEqual([
      'pkbackup.yaml:2:',
      'pkbackup.yaml:3:',
      'pkbackup.yaml:4:',
      'pkbackup.yaml:5:',
    ]);
  });
});

describe('the way that zod says things', () => {
  const said = (schema: z.ZodType, data: unknown): string[] => {
    const issues: Issue[] = [];
    checked(schema, data, ['x'], issues);
    return issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  };

  it('is to stop a server that nobody starts, or one that is in Docker', () => {
    const text = `stores:
  a: { kind: falkordb, host: 127.0.0.1, stop: [stop] }
  b: { kind: falkordb, container: graph, start: [start] }
  c: { kind: falkordb, container: graph, stop: [stop], start: [start] }
`;
    expect(mistakes(text)).toEqual([
      'pkbackup.yaml:2: stores.a.stop: needs start beside it',
      'pkbackup.yaml:3: stores.b.start: is for a server on this host alone, which this falkordb is not',
      'pkbackup.yaml:4: stores.c.stop: is for a server on this host alone, which this falkordb is not',
    ]);
    const good = parse('stores:\n  a: { kind: falkordb, host: 127.0.0.1, start: [./start] }\n');
    expect(good.stores).toMatchObject([{ server: { start: { argv: [join(directory, 'start')] } } }]);
    expect(good.stores[0]?.server).not.toHaveProperty('stop');
  });

  it('is translated for unions, lists, literals and checks of a store of its own', () => {
    expect(said(z.union([z.string(), z.number()]), true)).toEqual([
      'x: expected a text or a number, got true',
    ]);
    expect(said(z.array(z.string()).min(1), [])).toEqual([
      'x: expected something that is not empty, got a list',
    ]);
    expect(said(z.literal('a'), 'b')).toEqual(['x: expected a, got "b"']);
    expect(
      said(
        z.string().refine(() => false, 'expected a path'),
        'b',
      ),
    ).toEqual(['x: expected a path, got "b"']);
    expect(said(z.strictObject({ a: z.strictObject({ long: z.string() }) }), { a: { lon: 'x' } })).toEqual([
      'x.a.long: missing (expected a text)',
      'x.a.lon: unknown key, did you mean "long"?',
    ]);
  });

  it('is a rule and not a value where several keys are meant', () => {
    const schema = z.strictObject({ a: z.string().optional() }).refine(({ a }) => a, 'expected "a" or "b"');
    expect(said(schema, {})).toEqual(['x: expected "a" or "b"']);
    expect(said(z.string().startsWith('/'), 'data')).toEqual([
      'x: expected a text that starts with "/", got "data"',
    ]);
  });

  it('never shows what may be a secret', () => {
    expect(said(z.strictObject({ password: z.number() }), { password: 'hunter2' })).toEqual([
      'x.password: expected a number, got [redacted]',
    ]);
  });
});

describe('the schema of every store', () => {
  it.each(stores.map((store) => [store.kind, store] as const))(
    'of kind %s refuses a key that it does not know',
    (_, store) => {
      const issues: Issue[] = [];
      checked(store.schema, { no_such_key: 1 }, [], issues);
      expect(issues.map(({ path }) => path.join('.'))).toContain('no_such_key');
    },
  );

  it.each(stores.map((store) => [store.kind, store] as const))(
    'of kind %s shares no key with all stores',
    (_, store) => {
      const schema = JSON.stringify(z.toJSONSchema(store.schema, { io: 'input', unrepresentable: 'any' }));
      for (const key of ['kind', 'quiesce', 'allow_empty', 'compression'])
        expect(schema).not.toContain(`"${key}":`);
    },
  );
});
