// Every row of the table of old files, with its twins, and what is to become of each.
import { gzipSync } from 'node:zlib';
import type { ConfiguredStore } from '../../src/config/types.ts';
import type { Kind } from '../../src/words.ts';
import { makeTar } from '../archive/gather.ts';
import {
  chromaDatabase,
  chromaDirectory,
  chromaVolume,
  eventsDatabase,
  type Files,
  manifest,
  memories,
  memorySystem,
  metadataJson,
  metadataText,
  neo4jDump,
  neo4jVolume,
  sha256Of,
  sqliteText,
  tarGz,
} from './made-files.ts';

export interface OldRow {
  readonly what: string;
  /** The file, and what lies beside it. */
  readonly name: string;
  readonly files: Files;
  readonly listed: {
    readonly what: RegExp;
    readonly at?: string;
    readonly kind?: Kind;
    readonly store?: string;
  };
  /** A finding; `good` where there is none. */
  readonly verified: 'good' | RegExp;
  readonly notChecked?: RegExp;
  /**
   * Into a directory of its own on this host: what is in there then. A text where it is refused; missing where it needs a
   * server, and what refuses it there is the kind of the store.
   */
  readonly restored?: { readonly to: string; readonly gives: Files } | RegExp;
  /** Of other kinds, which must not take it. */
  readonly refusedBy?: readonly ConfiguredStore[];
}

const utc = (local: Date) => local.toISOString();
const twoOClock = utc(new Date(2025, 11, 1, 2, 0, 0));
const run = '20251201_020000';

const beside = (name: string, bytes: Buffer, metadata = JSON.stringify(metadataJson(name, bytes))) => ({
  [`${name}.sha256`]: `${sha256Of(bytes)}\n`,
  [name.replace('.tar.gz', '.metadata.json')]: metadata,
});

const cut = (bytes: Buffer) => bytes.subarray(0, Math.floor(bytes.length * 0.9));
const falkordb = { name: 'graph', kind: 'falkordb', target: { container: 'falkordb' } } as const;
const volume = { name: 'graph', kind: 'volume', target: { volume: 'graph-data' } } as const;

const l1 = 'chromadb-backup-20251201-020000.tar.gz';
const chroma = chromaVolume();
const chromaRow: Omit<OldRow, 'what' | 'files'> = {
  name: l1,
  listed: { what: /ChromaDB volume/, at: '2025-12-01T02:00:00.123Z', kind: 'chromadb', store: 'chromadb' },
  verified: 'good',
  restored: { to: './out', gives: { 'out/chroma.sqlite3': chromaDatabase } },
  refusedBy: [falkordb],
};
const crlf = (text: string) => text.replaceAll('\n', '\r\n');
const powershell = (hash: unknown) =>
  `\uFEFF${crlf(JSON.stringify(Object.fromEntries(Object.entries(metadataJson(l1, chroma, { sha256: hash })).reverse()), null, 2))}`;
const byName = { ...chromaRow.listed, at: twoOClock };

const chromaRows: OldRow[] = [
  { ...chromaRow, what: 'L1, as the scripts made it', files: { [l1]: chroma, ...beside(l1, chroma) } },
  {
    ...chromaRow,
    what: 'L1 without any sidecar',
    files: { [l1]: chroma },
    listed: byName,
    notChecked: /no checksum to compare/,
  },
  {
    ...chromaRow,
    what: 'L1 with a checksum file without newline, in capital letters',
    files: { [l1]: chroma, [`${l1}.sha256`]: sha256Of(chroma).toUpperCase() },
    listed: byName,
  },
  {
    ...chromaRow,
    what: 'L1 of PowerShell: a byte order mark, CRLF, another order',
    files: {
      [l1]: chroma,
      ...beside(l1, chroma, powershell(sha256Of(chroma))),
      [`${l1}.sha256`]: `\uFEFF${sha256Of(chroma)}\r\n`,
    },
  },
  {
    ...chromaRow,
    what: 'L1 of PowerShell 5: an object for the checksum, sidecars in UTF-16',
    files: {
      [l1]: chroma,
      [l1.replace('.tar.gz', '.metadata.json')]: Buffer.from(
        powershell({ value: sha256Of(chroma).toUpperCase(), Length: 64 }),
        'utf16le',
      ),
      [`${l1}.sha256`]: Buffer.from(`\uFEFF${sha256Of(chroma)}\r\n`, 'utf16le'),
    },
  },
  {
    ...chromaRow,
    what: 'L1 with a wrong checksum',
    files: { [l1]: chroma, [`${l1}.sha256`]: '0'.repeat(64) },
    listed: byName,
    verified: /checksum is wrong/,
    restored: /checksum is wrong/,
  },
  {
    ...chromaRow,
    what: 'L1 with two checksums that differ',
    files: { [l1]: chroma, ...beside(l1, chroma), [`${l1}.sha256`]: '0'.repeat(64) },
    verified: /checksum file says 0+, the metadata says/,
    restored: /checksum file says/,
  },
  {
    ...chromaRow,
    what: 'L1 with a checksum file that holds none',
    files: { [l1]: chroma, [`${l1}.sha256`]: 'certutil failed' },
    listed: byName,
    verified: /does not hold a SHA-256 checksum/,
    restored: /does not hold/,
  },
  {
    ...chromaRow,
    what: 'L1, cut',
    files: { [l1]: cut(chroma) },
    listed: byName,
    verified: /is damaged|unexpected end/,
    restored: /is damaged|unexpected end/,
  },
  {
    ...chromaRow,
    what: 'L1, cut, and its metadata knows how long it was',
    files: { [l1]: cut(chroma), ...beside(l1, chroma) },
    listed: { what: /ChromaDB volume/ },
    verified: /it has \d+ bytes, its metadata says/,
    restored: /it has \d+ bytes/,
  },
  {
    ...chromaRow,
    what: 'L1, cut to nothing',
    files: { [l1]: Buffer.alloc(0) },
    listed: { what: /not what its name says/ },
    verified: /it is empty/,
    restored: /it is empty/,
  },
  {
    ...chromaRow,
    what: 'L1 with metadata that was cut',
    files: { [l1]: chroma, ...beside(l1, chroma, '{"backup_file": "chrom') },
    listed: byName,
  },
  {
    ...chromaRow,
    what: 'L1 by its content, under the name of L2',
    name: 'neo4j-backup-20251201-020000.tar.gz',
    files: { 'neo4j-backup-20251201-020000.tar.gz': chroma },
    listed: byName,
    refusedBy: [{ name: 'graph', kind: 'neo4j', target: { container: 'neo4j' } }],
  },
  {
    ...chromaRow,
    what: 'L1 by its name, with other files in it',
    files: { [l1]: tarGz([{ path: './' }, { path: './README.md', data: 'hello' }]) },
    listed: { what: /files/ },
    verified: /named like a ChromaDB volume, and holds other files/,
    restored: /holds other files/,
  },
];

const l2 = 'neo4j-backup-20251201-020000.tar.gz';
const graph = neo4jVolume();
const ofGraph = JSON.stringify(metadataJson(l2, graph, { database: 'neo4j', volume_name: 'stack_neo4j' }));
const neo4jRow = {
  name: l2,
  listed: { what: /Neo4j volume/, at: '2025-12-01T02:00:00.123Z', kind: 'neo4j', store: 'neo4j' },
  verified: 'good',
  notChecked: /consistency of the databases/,
  refusedBy: [falkordb],
} as const;
const dumpName = `neo4j/${run}/neo4j.dump.gz`;
const dumpRow = {
  listed: { what: /Neo4j dump/, at: twoOClock, kind: 'neo4j', store: 'neo4j' },
  verified: 'good',
  refusedBy: [falkordb, volume],
} as const;

const neo4jRows: OldRow[] = [
  { ...neo4jRow, what: 'L2, as the scripts made it', files: { [l2]: graph, ...beside(l2, graph, ofGraph) } },
  {
    ...neo4jRow,
    what: 'L2 without "databases/"',
    files: {
      [l2]: tarGz([{ path: './' }, { path: './transactions/neo4j/neostore.transaction.db.0', data: 'x' }]),
    },
    listed: { ...neo4jRow.listed, at: twoOClock },
    notChecked: /no checksum/,
    verified: /"databases\/system" is missing or empty/,
  },
  {
    ...neo4jRow,
    what: 'L2 under the name of L1',
    name: l1,
    files: { [l1]: graph },
    listed: { ...neo4jRow.listed, at: twoOClock },
    refusedBy: [falkordb, { name: 'vectors', kind: 'chromadb', target: { container: 'chroma' } }],
  },
  {
    ...dumpRow,
    what: 'L3, packed',
    name: dumpName,
    files: { [dumpName]: gzipSync(neo4jDump()), [`neo4j/${run}/metadata.txt`]: metadataText('') },
  },
  {
    ...dumpRow,
    what: 'L3, as it is',
    name: `neo4j/${run}/neo4j.dump`,
    files: { [`neo4j/${run}/neo4j.dump`]: neo4jDump() },
  },
  {
    ...dumpRow,
    what: 'L3, cut before it was packed',
    name: dumpName,
    files: { [dumpName]: gzipSync(cut(neo4jDump())) },
    verified: /is damaged/,
  },
];

const eventsName = `sqlite/${run}/events.db.gz`;
const events = eventsDatabase();
const eventsText = (count: number) => ({
  [`sqlite/${run}/metadata.txt`]: metadataText(`Events Count: ${count}\r\nOutbox Count: 1`),
  [`sqlite/${run}/restore.sh`]: 'rm -rf /',
});
const eventsRow = {
  name: eventsName,
  listed: { what: /SQLite database/, at: twoOClock, kind: 'sqlite', store: 'events' },
  verified: 'good',
  restored: { to: './events.db', gives: { 'events.db': events } },
  refusedBy: [falkordb],
} as const;
const liveName = 'db_backup_20251201_020000.sqlite';
const textName = 'full_backup_20251201.sql';
const textRow = {
  name: textName,
  listed: { what: /SQL of SQLite/, kind: 'sqlite', store: 'sqlite' },
  verified: 'good',
  refusedBy: [falkordb, { name: 'rows', kind: 'postgres', target: { container: 'postgres' } }],
} as const;

const sqliteRows: OldRow[] = [
  { ...eventsRow, what: 'L4, packed', files: { [eventsName]: gzipSync(events), ...eventsText(3) } },
  {
    ...eventsRow,
    what: 'L4, as it is, without sidecars',
    name: `sqlite/${run}/events.db`,
    files: { [`sqlite/${run}/events.db`]: events },
  },
  {
    ...eventsRow,
    what: 'L4 with fewer events than were counted',
    files: { [eventsName]: gzipSync(events), ...eventsText(4) },
    verified: /events: expected 4, found 3|expected 4 events, found 3/,
    restored: /expected 4/,
  },
  {
    ...eventsRow,
    what: 'L4, cut before it was packed',
    files: { [eventsName]: gzipSync(events.subarray(0, 8192 + 100)) },
    verified: /no whole number of pages/,
    restored: /no whole number of pages/,
  },
  ...[
    liveName,
    'backup_20251201.sqlite',
    'pre_restore_20251201_020000.sqlite',
    'db.backup.1764554400.sqlite',
  ].map(
    (name): OldRow => ({
      ...eventsRow,
      what: `L10, "${name}"`,
      name,
      files: { [name]: events, 'backup_latest.sqlite': `-> ${name}` },
      listed: { what: /SQLite database/, kind: 'sqlite', store: 'sqlite' },
    }),
  ),
  {
    ...eventsRow,
    what: 'L10 that is no database',
    name: liveName,
    files: { [liveName]: 'database is locked' },
    listed: { what: /not what its name says/ },
    verified: /expected an SQLite database, but it is text/,
    restored: /expected an SQLite database/,
  },
  {
    ...textRow,
    what: 'L11',
    files: { [textName]: sqliteText },
    restored: { to: './notes.db', gives: {} },
  },
  {
    ...textRow,
    what: 'L11 with a byte order mark and CRLF',
    files: { [textName]: `\uFEFF${crlf(sqliteText)}` },
    restored: { to: './notes.db', gives: {} },
  },
  {
    ...textRow,
    what: 'L11 without its end',
    files: { [textName]: sqliteText.replace('COMMIT;', '') },
    verified: /does not end with "COMMIT;"/,
    restored: /does not end with/,
  },
  {
    ...textRow,
    what: 'L11 that gave up',
    files: { [textName]: sqliteText.replace('COMMIT;', 'ROLLBACK; -- due to errors') },
    verified: /does not end with "COMMIT;"/,
    restored: /does not end with/,
  },
  {
    ...textRow,
    what: 'L11 that reaches for other files',
    files: {
      [textName]: sqliteText.replace('COMMIT;', "ATTACH '/tmp/pkbackup-attached' AS other;\nCOMMIT;"),
    },
    verified: /a statement that \.dump does not write: "ATTACH"/,
    restored: /"ATTACH"/,
  },
  {
    ...textRow,
    what: 'L11 in the encoding of ">" in PowerShell',
    files: { [textName]: Buffer.from(`\uFEFF${sqliteText}`, 'utf16le') },
    listed: { what: /SQL in UTF-16/ },
    verified: /it is UTF-16/,
    restored: /it is UTF-16/,
  },
];

const chromaInRun = `chromadb/${run}/chromadb.tar.gz`;
const chromaText = (count: number) => ({
  [`chromadb/${run}/metadata.txt`]: metadataText(`Collections Count: ${count}`),
});
const treeRow = { ...chromaRow, name: chromaInRun, listed: { ...byName, what: /ChromaDB directory/ } };
const memoryName = 'memory_backup_20251201_020000.tar.gz';
const memoryRow = {
  name: memoryName,
  listed: { what: /memory system/, at: twoOClock, kind: 'directory', store: 'memory' },
  verified: 'good',
  restored: {
    to: './out',
    gives: { 'out/data/memories/a.json': '{"id": "a", "text": "remember"}', 'out/data/index.json': '{}' },
  },
  refusedBy: [volume],
} as const;
const memoriesName = 'backup_2025-12-01T02-00-00-000Z.tar.gz';
const reposName = 'repos_backup_20251201.tar.gz';
const repos = () => tarGz([{ path: './' }, { path: './one/' }, { path: './one/HEAD', data: 'ref: main' }]);

const treeRows: OldRow[] = [
  {
    ...treeRow,
    what: 'L5, packed',
    files: { [chromaInRun]: gzipSync(chromaDirectory()), ...chromaText(1) },
  },
  {
    ...treeRow,
    what: 'L5, as it is',
    name: `chromadb/${run}/chromadb.tar`,
    files: { [`chromadb/${run}/chromadb.tar`]: chromaDirectory() },
  },
  {
    ...treeRow,
    what: 'L5 with fewer collections than were counted',
    files: { [chromaInRun]: gzipSync(chromaDirectory()), ...chromaText(2) },
    verified: /expected 2 collections, found 1/,
    restored: /expected 2 collections/,
  },
  {
    ...memoryRow,
    what: 'L8, with its directory around',
    files: { [memoryName]: memorySystem('memory-system') },
  },
  {
    ...memoryRow,
    what: 'L8, without it',
    files: { [memoryName]: memorySystem('.'), 'latest_backup.txt': `backups/${memoryName}\n` },
  },
  {
    ...memoryRow,
    what: 'L8 with a memory that was cut',
    files: {
      [memoryName]: tarGz([
        { path: './data/memories/' },
        { path: './data/memories/b.json', data: '{"id": "b' },
      ]),
    },
    verified: /"\.\/data\/memories\/b\.json" cannot be read as JSON/,
    restored: /cannot be read as JSON/,
  },
  {
    ...memoryRow,
    what: 'L8 without any data',
    files: { [memoryName]: tarGz([{ path: './' }, { path: './package.json', data: '{}' }]) },
    verified: /there is no "data\/" in the archive/,
    restored: /there is no "data\/"/,
  },
  {
    ...memoryRow,
    what: 'L9',
    name: memoriesName,
    files: { [memoriesName]: memories },
    listed: {
      what: /memories as JSON/,
      at: '2025-12-01T02:00:00.000Z',
      kind: 'directory',
      store: 'memories',
    },
    restored: {
      to: './out',
      gives: {
        'out/memories/a.json': `${JSON.stringify({ id: 'a', text: 'remember' }, null, 2)}\n`,
        'out/memories/memory-000002.json': `${JSON.stringify({ text: 'nameless' }, null, 2)}\n`,
      },
    },
  },
  {
    ...memoryRow,
    what: 'L9, cut',
    name: memoriesName,
    files: { [memoriesName]: memories.slice(0, -5) },
    listed: { what: /memories as JSON/ },
    verified: /it is not JSON/,
    restored: /it is not JSON/,
  },
  {
    ...memoryRow,
    what: 'L12',
    name: reposName,
    files: { [reposName]: repos() },
    listed: { what: /^files$/, kind: 'volume', store: 'repos' },
    restored: { to: './out', gives: { 'out/one/HEAD': 'ref: main' } },
    refusedBy: [falkordb],
  },
  {
    ...memoryRow,
    what: 'L12, cut',
    name: reposName,
    files: { [reposName]: cut(repos()) },
    listed: { what: /^files$/ },
    verified: /is damaged/,
    restored: /is damaged/,
    refusedBy: [],
  },
];

const links = (count: number) => ['neo4j', 'sqlite', 'chromadb'].slice(0, count);
const manifestName = `unified/${run}/manifest.json`;
const ofRun = (): Files => ({
  [dumpName]: gzipSync(neo4jDump()),
  [eventsName]: gzipSync(events),
  [chromaInRun]: gzipSync(chromaDirectory()),
});
const manifestRow = {
  name: manifestName,
  listed: { what: /manifest of a set/, at: twoOClock },
  verified: 'good',
  notChecked: /nothing can be restored from it/,
  restored: /it holds no data/,
} as const;
const linkFiles = (form: (name: string) => string) =>
  Object.fromEntries(links(3).map((name) => [`unified/${run}/${name}`, form(name)]));
const l7 = `backup_${run}.tar.gz`;

const otherRows: OldRow[] = [
  {
    ...manifestRow,
    what: 'L6, with its links',
    files: { ...ofRun(), [manifestName]: manifest(), ...linkFiles((name) => `-> ../../${name}/${run}`) },
  },
  {
    ...manifestRow,
    what: 'L6, with files that hold paths where a system has no links',
    files: { ...ofRun(), [manifestName]: manifest(), ...linkFiles((name) => `..\\..\\${name}\\${run}\r\n`) },
  },
  {
    ...manifestRow,
    what: 'L6 without links',
    files: { ...ofRun(), [manifestName]: `\uFEFF${crlf(manifest())}` },
  },
  {
    ...manifestRow,
    what: 'L6 of a run that failed',
    files: { ...ofRun(), [manifestName]: manifest({ status: 'partial' }) },
    verified: /its status is "partial", expected "success"/,
  },
  {
    ...manifestRow,
    what: 'L6 whose links lead nowhere',
    files: { [manifestName]: manifest(), ...linkFiles((name) => `-> ../../${name}/${run}`) },
    verified: /its link "neo4j" leads to "neo4j\/20251201_020000", which is not here/,
  },
  {
    ...manifestRow,
    what: 'L6 whose links lead out of the directory',
    files: { [manifestName]: manifest(), ...linkFiles(() => '-> /etc') },
    verified: /its link "neo4j" leads to ".*etc", which is not here/,
  },
  {
    ...manifestRow,
    what: 'L7',
    name: l7,
    files: {
      [l7]: gzipSync(
        makeTar([
          { path: `${run}/` },
          { path: `${run}/manifest.json`, data: manifest() },
          ...links(3).map((name) => ({
            path: `${run}/${name}`,
            type: 'symlink' as const,
            linkPath: `../../${name}/${run}`,
          })),
        ]),
      ),
    },
    listed: { what: /a manifest and links/, at: twoOClock },
    verified: /a manifest and links, and no data/,
    restored: /a manifest and links, and no data/,
  },
  ...['collections_backup.json', 'embeddings_backup.json', 'config_20251201.json'].map(
    (name): OldRow => ({
      ...manifestRow,
      what: `L14, "${name}"`,
      name,
      files: { [name]: '[{"name": "notes"}]' },
      listed: { what: /^JSON$/ },
      restored: /an extract in JSON/,
    }),
  ),
  {
    ...manifestRow,
    what: 'L14, cut',
    name: 'collections_backup.json',
    files: { 'collections_backup.json': '[{"name": "no' },
    listed: { what: /^JSON$/ },
    verified: /it is not JSON/,
    restored: /an extract in JSON/,
  },
];

export const rows: readonly OldRow[] = [
  ...chromaRows,
  ...neo4jRows,
  ...sqliteRows,
  ...treeRows,
  ...otherRows,
];
