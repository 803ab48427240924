// Restores of what lies on this host that fail: files and databases on a small disk. It needs no server, but root for the
// disk, as those with servers do.
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describeTree } from '../archive/hostile-tree.ts';
import { makeSmallDisk, type SmallDisk } from '../faults/small-disk.ts';
import { reseal, withFile } from '../operations/sealed-backup.ts';
import { type Failing, failingRestores } from './failing-restores.ts';

const diskBytes = 32 * 1024 * 1024;
const contentBytes = 3_000_000;
const noServer = 'none: there is no server';
const noConnection =
  'none: there is no connection; what has the files open is in the tests of the kind itself';

const fullDisk = (disk: SmallDisk): Failing[] => [
  {
    what: 'seen before',
    arrange: async () => disk.fill(contentBytes),
    settle: () => disk.empty(),
    exitCode: 5,
    message: /about \d+\.\d MB are needed beside the present data, 3\.0 MB are free; nothing was touched$/,
    state: 'proved',
  },
  {
    what: 'while it is staged',
    arrange: async () => ({ confirm: async () => disk.fill(contentBytes >> 1) }),
    settle: () => disk.empty(),
    exitCode: 5,
    message: /no space is left for/,
    state: 'staged',
  },
  {
    what: 'to the last byte',
    arrange: async () => ({ confirm: async () => disk.fill(0) }),
    settle: () => disk.empty(),
    exitCode: 5,
    message: /no space/i,
    state: 'staged',
  },
];

failingRestores('a directory', async () => {
  const disk = makeSmallDisk(diskBytes);
  const path = join(disk.directory, 'memory');
  mkdirSync(path);
  return {
    store: { name: 'memory', kind: 'directory', target: { path } },
    containers: [],
    async put(content) {
      rmSync(path, { recursive: true });
      mkdirSync(join(path, 'sub'), { recursive: true });
      writeFileSync(join(path, 'large'), Buffer.alloc(contentBytes, content));
      for (let count = 0; count < 50; count += 1)
        writeFileSync(join(path, 'sub', `${content}-${count}`), content);
      symlinkSync(content, join(path, 'link'));
    },
    look: async () => JSON.stringify(describeTree(path)),
    names: async () => readdirSync(disk.directory).filter((name) => name !== 'memory'),
    faults: {
      damaged: [
        {
          arrange: ({ backup }) => reseal(backup, (tar) => tar.subarray(0, tar.length - 1536)),
          exitCode: 4,
          message: /the tar is not whole: it ends in the middle/,
          state: 'proved',
        },
        {
          what: 'a file more than was counted',
          arrange: ({ backup }) =>
            reseal(backup, (tar) => withFile(tar, './more', () => Buffer.from('more'))),
          exitCode: 4,
          message: /files: expected \d+, found \d+/,
          state: 'proved',
        },
      ],
      dead: noServer,
      sick: noServer,
      full: fullDisk(disk),
      cut: noConnection,
    },
  };
});

failingRestores('an SQLite database', async () => {
  const disk = makeSmallDisk(diskBytes);
  const path = join(disk.directory, 'events.db');
  const query = (sql: string) => {
    const database = new DatabaseSync(path);
    try {
      return database.prepare(sql).all();
    } finally {
      database.close();
    }
  };
  return {
    store: { name: 'events', kind: 'sqlite', target: { path } },
    containers: [],
    async put(content) {
      query('PRAGMA journal_mode = wal');
      query('DROP TABLE IF EXISTS events');
      query('CREATE TABLE events (text)');
      query(`INSERT INTO events VALUES ('${content}'), (randomblob(${contentBytes}))`);
      query('CREATE INDEX by_text ON events (text)');
    },
    look: async () =>
      JSON.stringify(query('SELECT length(text) FROM events ORDER BY 1')) +
      query('SELECT text FROM events')[0]?.text,
    names: async () => readdirSync(disk.directory).filter((name) => !name.startsWith('events.db')),
    faults: {
      damaged: [
        {
          what: 'in the head of a page',
          arrange: ({ backup }) =>
            reseal(backup, (tar) => withFile(tar, 'events.db', (bytes) => spoiled(bytes))),
          exitCode: 4,
          message: /is not a good backup: /,
          state: 'proved',
        },
        {
          what: 'no database at all',
          arrange: ({ backup }) =>
            reseal(backup, (tar) => withFile(tar, 'events.db', (bytes) => Buffer.alloc(bytes.length, 'x'))),
          exitCode: 4,
          message: /is not a good backup: /,
          state: 'proved',
        },
      ],
      dead: noServer,
      sick: noServer,
      full: fullDisk(disk),
      cut: noConnection,
    },
  };
});

function spoiled(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  copy.fill(0xff, 4096, 4096 + 8);
  return copy;
}
