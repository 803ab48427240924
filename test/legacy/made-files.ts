// The files of LEGACY rows L1 to L14, made by hand as the replaced scripts made them.
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { makeTar, type Piece } from '../archive/gather.ts';

export const sha256Of = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
export const tarGz = (pieces: Piece[]) => gzipSync(makeTar(pieces));

export function databaseOf(sql: string): Buffer {
  const directory = mkdtempSync(join(tmpdir(), 'pkbackup-made-'));
  try {
    const database = new DatabaseSync(join(directory, 'database'));
    database.exec(sql);
    database.close();
    return readFileSync(join(directory, 'database'));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** As ChromaDB 1.x has them, as far as they are read: one collection of two records, whose vectors are in the queue. */
const chromaSql = `
  CREATE TABLE migrations (dir TEXT, version INT);
  CREATE TABLE databases (id TEXT, name TEXT, tenant_id TEXT);
  CREATE TABLE collections (id TEXT, name TEXT, database_id TEXT, dimension INT);
  CREATE TABLE segments (id TEXT, type TEXT, scope TEXT, collection TEXT);
  CREATE TABLE embeddings (id INTEGER PRIMARY KEY, segment_id TEXT, embedding_id TEXT, seq_id INT);
  CREATE TABLE embeddings_queue (seq_id INTEGER PRIMARY KEY, operation INT, topic TEXT, id TEXT, vector BLOB);
  CREATE TABLE max_seq_id (segment_id TEXT, seq_id INT);
  INSERT INTO migrations VALUES ('sysdb', 10);
  INSERT INTO databases VALUES ('d', 'default_database', 'default_tenant');
  INSERT INTO collections VALUES ('c', 'notes', 'd', 2);
  INSERT INTO segments VALUES ('m', '', 'METADATA', 'c'), ('v', '', 'VECTOR', 'c');
  INSERT INTO embeddings VALUES (1, 'm', 'a', 1), (2, 'm', 'b', 2);
  INSERT INTO embeddings_queue VALUES (1, 0, 'x/c', 'a', x'00'), (2, 0, 'x/c', 'b', x'00');
  INSERT INTO max_seq_id VALUES ('m', 2);`;
export const chromaDatabase = databaseOf(chromaSql);

const segment = '5f1a0f6e-3a55-4c63-9a7c-1d2f3b4c5d6e';
const chromaPieces = (root: string): Piece[] => [
  { path: `${root}/` },
  { path: `${root}/${segment}/` },
  { path: `${root}/${segment}/header.bin`, data: Buffer.alloc(100) },
  { path: `${root}/chroma.sqlite3`, data: chromaDatabase },
];
export const chromaVolume = () => tarGz(chromaPieces('.'));
export const chromaDirectory = () => makeTar(chromaPieces('chroma'));

const neo4jFiles = [
  'neostore',
  'neostore.nodestore.db',
  'neostore.nodestore.db.labels',
  'neostore.relationshipstore.db',
  'neostore.relationshipgroupstore.db',
  'neostore.schemastore.db',
  ...['', '.arrays', '.index', '.index.keys', '.strings'].map((end) => `neostore.propertystore.db${end}`),
  ...['', '.names'].map((end) => `neostore.labeltokenstore.db${end}`),
  ...['', '.names'].map((end) => `neostore.relationshiptypestore.db${end}`),
];
export const neo4jVolume = () =>
  tarGz([
    { path: './' },
    { path: './databases/' },
    ...['neo4j', 'system'].flatMap((name) => [
      { path: `./databases/${name}/` },
      ...neo4jFiles.map((file) => ({ path: `./databases/${name}/${file}`, data: 'record' })),
      { path: `./transactions/${name}/neostore.transaction.db.0`, data: 'log' },
    ]),
  ]);
/** Its magic, and zstd behind it. */
export const neo4jDump = () =>
  Buffer.concat([Buffer.from('DZV1'), zstdCompressSync(Buffer.alloc(100_000, 'dump '))]);

export const eventsDatabase = () =>
  databaseOf(`
    CREATE TABLE events (id INTEGER PRIMARY KEY, body TEXT);
    CREATE TABLE outbox (id INTEGER PRIMARY KEY);
    INSERT INTO events (body) VALUES ('one'), ('two'), ('three');
    INSERT INTO outbox VALUES (1);`);

export const memorySystem = (root: string) =>
  tarGz([
    { path: `${root}/` },
    { path: `${root}/node_modules/` },
    { path: `${root}/node_modules/left-pad.js`, data: 'code' },
    { path: `${root}/data/` },
    { path: `${root}/data/memories/` },
    { path: `${root}/data/memories/a.json`, data: '{"id": "a", "text": "remember"}' },
    { path: `${root}/data/index.json`, data: '{}' },
  ]);
export const memories = JSON.stringify([{ id: 'a', text: 'remember' }, { text: 'nameless' }]);

export const sqliteText = `PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT);
INSERT INTO notes VALUES(1,'it''s; here');
INSERT INTO notes VALUES(2,replace('two\\nlines','\\n',char(10)));
CREATE TRIGGER log AFTER INSERT ON notes BEGIN SELECT CASE WHEN 1 THEN 2 END; DELETE FROM notes WHERE id < 0; END;
COMMIT;
`;

export const metadataJson = (name: string, bytes: Buffer, more: object = {}) => ({
  backup_file: name,
  created_at: '2025-12-01T03:00:00.1234567+01:00',
  volume_name: 'stack_chromadb-data',
  size_bytes: bytes.length,
  size_human: '96K',
  sha256: sha256Of(bytes),
  hostname: 'box',
  backup_dir: '/etc',
  retention_days: 30,
  script_version: '1.0.0',
  ...more,
});

export const metadataText = (counts: string) => `Backup Timestamp: 20251201_020000
Date: Mon Dec  1 02:00:00 UTC 2025
Hostname: box
Database Size: 89M
${counts}
Integrity Check: ok
`;

export const manifest = (more: object = {}) =>
  JSON.stringify({
    backup_timestamp: '20251201_020000',
    status: 'success',
    duration_seconds: 42,
    components: {
      neo4j: { backup_path: '/srv/app/backups/neo4j/20251201_020000', size: '89M', file: 'neo4j.dump.gz' },
      sqlite: { backup_path: './backups/sqlite/20251201_020000', size: '1M', file: 'events.db.gz' },
      chromadb: { backup_path: './backups/chromadb/20251201_020000', size: '2M', file: 'chromadb.tar.gz' },
    },
    ...more,
  });

export type Files = Readonly<Record<string, string | Buffer>>;

/** Names may have directories before them; a text that begins with `-> ` is a link. */
export function writeFiles(directory: string, files: Files): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(directory, name);
    mkdirSync(dirname(path), { recursive: true });
    if (typeof content === 'string' && content.startsWith('-> ')) symlinkSync(content.slice(3), path);
    else writeFileSync(path, content);
  }
}
