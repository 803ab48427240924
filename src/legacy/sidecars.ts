// What the scripts wrote beside a file. It is input: it describes, and never names a path. PowerShell writes other orders of
// keys, CRLF, a byte order mark, seven digits of a second, and before its version 7.2 an object for a checksum.
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { basename, dirname } from 'node:path/posix';
import { messageOf } from '../errors.ts';
import type { Counts } from '../words.ts';
import { decodeText } from './text.ts';

export interface Sidecars {
  /** Names below the same directory. */
  readonly names: readonly string[];
  /** What is wrong with them. */
  readonly notes: readonly string[];
  /** Something of the scripts is there. */
  readonly isDescribed: boolean;
  readonly createdAt?: Date;
  readonly volume?: string;
  readonly database?: string;
  readonly hostname?: string;
  readonly sha256?: string;
  readonly sizeBytes?: number;
  readonly counts: Counts;
}

const longestBytes = 1024 * 1024;
const sha256 = /^[0-9a-f]{64}$/i;

/** `name` is that of the file below `directory`; `has` tells which names there are. */
export function readSidecars(directory: string, name: string, has: (name: string) => boolean): Sidecars {
  const inRun = (file: string) => (dirname(name) === '.' ? file : `${dirname(name)}/${file}`);
  const metadataName = `${name.replace(/\.tar\.gz$/, '')}.metadata.json`;
  const found = {
    checksum: [`${name}.sha256`].filter(has),
    metadata: name.endsWith('.tar.gz') ? [metadataName].filter(has) : [],
    run: ['metadata.txt', 'restore.sh'].map(inRun).filter(has),
  };
  const notes: string[] = [];
  const ofOthers: string[] = [];
  const readEach = (names: readonly string[], read: (text: string) => Partial<Sidecars>) => {
    let facts: Partial<Sidecars> = {};
    for (const each of names) {
      try {
        facts = { ...facts, ...read(readText(join(directory, each))) };
      } catch (error) {
        if (error instanceof OfAnother) ofOthers.push(each);
        notes.push(`"${basename(each)}" beside it cannot be read: ${messageOf(error)}`);
      }
    }
    return facts;
  };
  const lines = found.run.filter((each) => each.endsWith('.txt'));
  return {
    counts: {},
    ...readEach(lines, readLines),
    ...readEach(found.metadata, (text) => readMetadata(text, basename(name))),
    names: [...found.checksum, ...found.metadata, ...found.run].filter((each) => !ofOthers.includes(each)),
    isDescribed: found.metadata.length + lines.length > 0,
    notes,
  };
}

class OfAnother extends Error {}

function readText(path: string): string {
  if (statSync(path).size > longestBytes) throw new Error('it is too long');
  return decodeText(readFileSync(path));
}

/** Of L1 and L2 of the scripts: JSON. Throws where it is not, or of another file. */
function readMetadata(text: string, name: string): Partial<Sidecars> {
  const json: unknown = JSON.parse(text);
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new Error('it is no object');
  const fields = new Map<string, unknown>(Object.entries(json));
  const file = textIn(fields.get('backup_file'));
  if (file !== undefined && file.split(/[/\\]/).at(-1) !== name) {
    throw new OfAnother(`it is of another file, "${file}"`);
  }
  const hash = checksumIn(fields.get('sha256'));
  return {
    ...defined('createdAt', timeIn(textIn(fields.get('created_at')))),
    ...defined('volume', textIn(fields.get('volume_name'))),
    ...defined('database', textIn(fields.get('database'))),
    ...defined('hostname', textIn(fields.get('hostname'))),
    ...defined('sizeBytes', numberIn(fields.get('size_bytes'))),
    ...defined('sha256', hash),
  };
}

/** `{"value": "..."}` is what PowerShell makes of a string that has properties. */
function checksumIn(value: unknown): string | undefined {
  const inner = typeof value === 'object' && value !== null ? Object.values(value) : [value];
  return inner
    .find((each) => typeof each === 'string' && sha256.test(each.trim()))
    ?.trim()
    .toLowerCase();
}

const countKeys: Readonly<Record<string, string>> = {
  'events count': 'events',
  'outbox count': 'outbox',
  'collections count': 'collections',
};

/** Of the unified scripts: `Key: value`. Its times have no zone, so the name of the directory says as much. */
function readLines(text: string): Partial<Sidecars> {
  const counts: Counts = {};
  let hostname: string | undefined;
  for (const line of text.split(/\r?\n/)) {
    const [, key = '', value = ''] = /^\s*([^:]+?)\s*:\s*(.*?)\s*$/.exec(line) ?? [];
    const counted = countKeys[key.toLowerCase()];
    if (counted !== undefined && /^\d+$/.test(value)) counts[counted] = Number(value);
    if (key.toLowerCase() === 'hostname') hostname = textIn(value);
  }
  return { counts, ...defined('hostname', hostname) };
}

function textIn(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' && value.length <= 1000 ? value : undefined;
}

function numberIn(value: unknown): number | undefined {
  const number = typeof value === 'string' && value !== '' ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : undefined;
}

function timeIn(text: string | undefined): Date | undefined {
  const at = new Date(text ?? Number.NaN);
  return Number.isNaN(at.getTime()) ? undefined : at;
}

function defined<Key extends keyof Sidecars>(key: Key, value: Sidecars[Key]): Partial<Sidecars> {
  return value === undefined ? {} : { [key]: value };
}
