// What a file is, by its first bytes: https://sqlite.org/fileformat.html, RFC 1952, the headers of tar, of Redis dumps, of
// pg_dump and of the shell of SQLite. Dumps of Neo4j begin with DZV1 (zstd) or DGV1 (gzip).
import zlib from 'node:zlib';
import { codecOf } from '../archive/codec.ts';
import { nameOf, type TarEntry } from '../archive/tar-format.ts';
import { TarScanner } from '../archive/tar-scan.ts';
import type { OldForm } from './forms.ts';
import { decodeText, isUtf16 } from './text.ts';

export type Sniffed =
  | OldForm
  /** A manifest and links, and nothing else. */
  | 'links'
  /** A tree of files that nothing is known of. */
  | 'tree'
  | 'json-array'
  | 'json'
  | 'manifest'
  /** SQL of SQLite or PostgreSQL, in the encoding of Windows PowerShell. */
  | 'utf-16-sql'
  | 'text'
  | 'empty'
  | 'unknown';

/** Enough for the first names of a tar; more would be slow for thousands of files. */
export const headBytes = 4096;
const mostUnpacked = 8 * 1024 * 1024;
const codecs = [codecOf('gzip'), codecOf('zstd')];

/** Undefined for archives of pkbackup itself. `isWhole`: the head is all of the file. */
export function sniff(head: Buffer, isWhole: boolean): Sniffed | undefined {
  if (head.length === 0) return 'empty';
  if (codecs.some((codec) => codec.isOurs(head))) return undefined;
  if (head[0] === 0x1f && head[1] === 0x8b) return sniffPlain(unpackedHead(head), isWhole);
  return sniffPlain(head, isWhole);
}

function unpackedHead(head: Buffer): Buffer {
  try {
    return zlib.gunzipSync(head, {
      finishFlush: zlib.constants.Z_SYNC_FLUSH,
      maxOutputLength: mostUnpacked,
    });
  } catch {
    return Buffer.alloc(0);
  }
}

function sniffPlain(bytes: Buffer, isWhole: boolean): Sniffed {
  const start = bytes.toString('latin1', 0, 16);
  if (start === 'SQLite format 3\0') return 'sqlite-file';
  if (start.startsWith('DZV1') || start.startsWith('DGV1')) return 'neo4j-dump';
  if (/^REDIS\d{4}/.test(start)) return 'redis-dump';
  if (bytes.toString('latin1', 257, 262) === 'ustar') return sniffTree(bytes, isWhole);
  return sniffText(bytes);
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\//;
const indexFile = /\/(header\.bin|data_level0\.bin|length\.bin|link_lists\.bin|index_metadata\.pickle)$/;
const isChroma = (name: string) => name === 'chroma.sqlite3' || (uuid.test(name) && indexFile.test(name));
const neo4jName =
  /^(databases|transactions)\/[^/]+\/(neostore|database_lock|id-buffer|checkpoint|schema|profiles)|^databases\/store_lock$/;

function sniffTree(bytes: Buffer, isWhole: boolean): Sniffed {
  const { entries, isEnded } = entriesIn(bytes, isWhole);
  const named = entries.map((entry) => ({ entry, name: nameOf(entry).replace(/^(\.\/)+/, '') }));
  const has = (isIt: (name: string) => boolean) => named.some(({ name }) => isIt(name));
  if (has(isChroma)) return 'chroma-volume';
  if (has((name) => name.startsWith('chroma/') && isChroma(name.slice('chroma/'.length)))) {
    return 'chroma-directory';
  }
  if (has((name) => neo4jName.test(name))) return 'neo4j-volume';
  if (has((name) => /^(memory-system\/)?data\/memories\//.test(name)) || has(isMemorySystem))
    return 'memory-system';
  const isPointing = ({ entry, name }: (typeof named)[number]) =>
    entry.type === 'directory' || entry.type === 'symlink' || name.split('/').at(-1) === 'manifest.json';
  const hasManifest = has((name) => name.split('/').at(-1) === 'manifest.json');
  return isEnded && hasManifest && named.every(isPointing) ? 'links' : 'tree';
}

const isMemorySystem = (name: string) => name.startsWith('memory-system/');

/** Those in the head; `isEnded` where there are no others. */
function entriesIn(bytes: Buffer, isWhole: boolean): { entries: TarEntry[]; isEnded: boolean } {
  const entries: TarEntry[] = [];
  const scanner = new TarScanner();
  try {
    for (const piece of scanner.scan(bytes)) if (piece.type === 'entry') entries.push(piece.entry);
    if (isWhole) scanner.end();
  } catch {
    return { entries, isEnded: false };
  }
  return { entries, isEnded: isWhole };
}

function sniffText(bytes: Buffer): Sniffed {
  const text = decodeText(bytes).replaceAll('\r', '');
  if (text.includes('\0')) return 'unknown';
  const isSql = isPostgresText(text) || isSqliteText(text);
  if (isUtf16(bytes)) return isSql ? 'utf-16-sql' : 'text';
  if (isPostgresText(text)) return 'postgres-text';
  if (isSqliteText(text)) return 'sqlite-text';
  const start = text.trimStart();
  if (start.startsWith('[')) return 'json-array';
  if (!start.startsWith('{')) return text.includes('\uFFFD') ? 'unknown' : 'text';
  return /"backup_timestamp"|"components"/.test(start) ? 'manifest' : 'json';
}

const isPostgresText = (text: string) => /^\s*--\n-- PostgreSQL database (cluster )?dump\n--\n/.test(text);

const isSqliteText = (text: string) => /^\s*PRAGMA foreign_keys=OFF;\s*BEGIN TRANSACTION;/.test(text);
