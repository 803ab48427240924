// The old files of a directory. Only what is left over is opened, and of that only the first bytes are read.
import { closeSync, lstatSync, openSync, readdirSync, readSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { basename, dirname } from 'node:path/posix';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Kind } from '../words.ts';
import { kindOf, type OldForm, storeFor, whatIs } from './forms.ts';
import { readManifest } from './manifest.ts';
import { families, isRunName, type OldName, readOldName } from './names.ts';
import type { Listed, OldFile, Restorable } from './old-file.ts';
import { readSidecars, type Sidecars } from './sidecars.ts';
import { headBytes, type Sniffed, sniff } from './sniff.ts';

export interface FindOptions {
  /** All names in the directory and in the directories of runs below it. */
  readonly names: readonly string[];
  /** Those of them that are known to be something else. */
  readonly taken?: ReadonlySet<string>;
  /** Stores that are known, for the names of those that old files belong to. */
  readonly stores?: readonly { readonly name: string; readonly kind: Kind }[];
  /** What was told before of files that are still the same: filled, and used, by each call. */
  readonly remembered?: Map<string, Remembered>;
}

export interface Remembered {
  readonly key: string;
  readonly sniffed: Sniffed | undefined;
}

const readAtOnce = 250;
/** Sidecars, and what is hidden. */
const isSidecar = (name: string) => /\.sha256$|\.metadata\.json$|(^|\/)\.[^/]*$/.test(name);

/** Files in `directory` and in the directories of the unified scripts below it. */
export async function findOldFiles(directory: string, options: FindOptions): Promise<OldFile[]> {
  const { names, taken = new Set(), stores = [], remembered = new Map() } = options;
  const candidates = names.filter((name) => !taken.has(name) && !isSidecar(name));
  const present = new Set(candidates.length > 0 ? names : []);
  const finder = new Finder(directory, (name) => present.has(name), stores, remembered);
  const files: OldFile[] = [];
  for (const [index, name] of candidates.entries()) {
    if (index % readAtOnce === readAtOnce - 1) await nextTurn();
    const file = finder.read(name);
    if (file) files.push(file);
  }
  return withSets(files);
}

/** `neo4j/20251201_020000/neo4j.dump.gz`, and without the first where that is the directory itself. */
export function namesInRuns(directory: string, names: readonly string[]): string[] {
  const runs = names.filter(isRunName);
  for (const family of names.filter((name) => families.includes(name))) {
    runs.push(
      ...namesIn(join(directory, family))
        .filter(isRunName)
        .map((run) => `${family}/${run}`),
    );
  }
  return runs.flatMap((run) => namesIn(join(directory, run)).map((name) => `${run}/${name}`));
}

/** Of a real directory; a link could lead anywhere. */
function namesIn(path: string): string[] {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  return stats?.isDirectory() ? readdirSync(path).sort() : [];
}

/** The members of a manifest get its set. */
function withSets(files: readonly OldFile[]): OldFile[] {
  const setOf = new Map<string, string>();
  for (const { found } of files) {
    if (found.form !== undefined || found.setId === undefined) continue;
    for (const member of found.members ?? []) setOf.set(member, found.setId);
  }
  return files.map((file) => {
    const setId = setOf.get(dirname(file.name));
    if (setId === undefined || file.found.form === undefined) return file;
    return { ...file, found: { ...file.found, setId } };
  });
}

class Finder {
  readonly #directory: string;
  readonly #has: (name: string) => boolean;
  readonly #stores: readonly { readonly name: string; readonly kind: Kind }[];

  readonly #remembered: Map<string, Remembered>;

  constructor(
    directory: string,
    has: (name: string) => boolean,
    stores: readonly { readonly name: string; readonly kind: Kind }[],
    remembered: Map<string, Remembered>,
  ) {
    this.#directory = directory;
    this.#has = has;
    this.#stores = stores;
    this.#remembered = remembered;
  }

  read(name: string): OldFile | undefined {
    const path = join(this.#directory, name);
    const stats = lstatSync(path, { throwIfNoEntry: false });
    // A link to the newest is no backup more.
    if (!stats?.isFile()) return undefined;
    const sniffed = this.#sniff(path, stats);
    const named = readOldName(dirname(name) === '.' ? path : name);
    const judged = sniffed && judge(sniffed, named);
    if (judged === undefined) return undefined;
    const sidecars = readSidecars(this.#directory, name, this.#has);
    const common = {
      name,
      path,
      sizeBytes: stats.size,
      createdAt: timeOf(named, sidecars, stats),
      sidecars: sidecars.names,
      notes: sidecars.notes,
    };
    if (judged.form !== undefined) {
      const wrongSize = sizeProblem(stats, sidecars);
      if (wrongSize) return { ...common, what: whatIs(judged.form), found: wrongSize };
      const found = this.#restorable(judged.form, name, named, sidecars);
      return { ...common, what: whatIs(judged.form), notes: notesOf(judged.form, sidecars, name), found };
    }
    if (judged.check !== 'manifest') return { ...common, what: judged.what, found: judged };
    const manifest = readManifest(this.#directory, name, (run) => this.#hasRun(run));
    return { ...common, what: judged.what, found: { ...judged, ...manifest } };
  }

  #sniff(path: string, { ino, size, mtimeMs, ctimeMs }: Stats): Sniffed | undefined {
    const key = `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
    const known = this.#remembered.get(path);
    if (known?.key === key) return known.sniffed;
    const sniffed = sniff(headOf(path), size <= headBytes);
    this.#remembered.set(path, { key, sniffed });
    return sniffed;
  }

  #hasRun(run: string): boolean {
    return isRunName(basename(run)) && namesIn(join(this.#directory, run)).length > 0;
  }

  #restorable(form: OldForm, name: string, named: OldName | undefined, sidecars: Sidecars): Restorable {
    const { sha256, volume, hostname, counts, database } = sidecars;
    const usual = form === 'sqlite-file' && /^events\.db/.test(basename(name)) ? 'events' : undefined;
    const databases =
      form === 'neo4j-dump' ? { databases: [basename(name).replace(/\.dump(\.gz)?$/, '')] } : {};
    return {
      form,
      kind: kindOf(form),
      store: storeFor(form, usual, this.#stores),
      isOfScripts: named !== undefined || sidecars.isDescribed,
      counts,
      ...databases,
      ...(database !== undefined && form === 'neo4j-dump' && { databases: [database] }),
      ...(sha256 !== undefined && { sha256 }),
      ...(volume !== undefined && { volume }),
      ...(hostname !== undefined && { hostname }),
    };
  }
}

function headOf(path: string): Buffer {
  const file = openSync(path, 'r');
  try {
    const head = Buffer.alloc(headBytes);
    return head.subarray(0, readSync(file, head, 0, headBytes, 0));
  } finally {
    closeSync(file);
  }
}

type Judged = { readonly form: OldForm; readonly what?: undefined } | (Listed & { readonly what: string });

/** Content first. Undefined for what has nothing to do with the scripts. */
function judge(sniffed: Sniffed, named: OldName | undefined): Judged | undefined {
  switch (sniffed) {
    case 'tree':
      return named && judgeTree(named);
    case 'links':
      return listed('a manifest and links', 'it holds a manifest and links, and no data', {
        hint: 'the data was in the directories that the links named: neo4j/, sqlite/ and chromadb/',
        check: 'none',
      });
    case 'manifest':
      return listed('the manifest of a set', 'it holds no data, but says which files belong together', {
        hint: 'restore its set, or the files one by one',
        check: 'manifest',
      });
    case 'json-array':
      return named?.form === 'memories' ? { form: 'memories' } : judgeJson(named);
    case 'json':
      return judgeJson(named);
    case 'utf-16-sql':
      return listed('SQL in UTF-16', 'it is UTF-16, as ">" of Windows PowerShell writes it', {
        hint: 'convert a copy (iconv -f UTF-16 -t UTF-8) and look at its letters beyond ASCII: they may be lost',
        check: 'none',
      });
    case 'text':
    case 'unknown':
    case 'empty':
      return named && judgeWrong(sniffed, named);
    default:
      return { form: sniffed };
  }
}

function judgeTree({ form }: OldName): Judged {
  if (form === 'files' || form === 'memory-system') return { form };
  const expected = form === 'links' || form === 'json' || form === 'manifest' ? 'one' : whatIs(form);
  return listed('files', `it is named like ${expected}, and holds other files`, {
    hint: 'look into it with: tar -tzf',
    check: 'none',
  });
}

function judgeJson(named: OldName | undefined): Judged | undefined {
  if (named === undefined) return undefined;
  if (named.form !== 'json') return judgeWrong('text', named);
  return listed('JSON', 'it is an extract in JSON, from which no store can be made again', {
    hint: 'read it as it is; the data of the store is in the backups of its volume',
    check: 'json',
  });
}

/** Its name is one of the scripts, and its content is nothing that they wrote. */
function judgeWrong(sniffed: 'text' | 'unknown' | 'empty', { form }: OldName): Judged {
  const expected = form === 'links' || form === 'json' || form === 'manifest' ? 'such a file' : whatIs(form);
  const found = {
    empty: 'it is empty',
    text: 'it is text of another kind',
    unknown: 'its first bytes are of no known kind',
  };
  return listed('not what its name says', `expected ${expected}, but ${found[sniffed]}`, {
    hint: 'it was cut, or overwritten: take another one',
    check: 'none',
    isDamaged: true,
  });
}

function listed(
  what: string,
  reason: string,
  more: Pick<Listed, 'hint' | 'check'> & { isDamaged?: boolean },
): Listed & { what: string } {
  return { what, reason, isDamaged: false, ...more };
}

function sizeProblem({ size }: Stats, { sizeBytes }: Sidecars): Listed | undefined {
  if (sizeBytes === undefined || sizeBytes === size) return undefined;
  return {
    isDamaged: true,
    reason: `it has ${size} bytes, its metadata says ${sizeBytes}`,
    hint: 'it was cut: take another one',
    check: 'none',
  };
}

/** What the metadata says has an offset; then the name; then the file. */
function timeOf(named: OldName | undefined, { createdAt }: Sidecars, { mtime }: Stats): Date {
  const at = named?.at;
  if (createdAt || at === undefined) return createdAt ?? mtime;
  return named?.isDay && at.toDateString() === mtime.toDateString() ? mtime : at;
}

function notesOf(form: OldForm, sidecars: Sidecars, name: string): string[] {
  const isLiveCopy = form === 'sqlite-file' && name.endsWith('.sqlite');
  return [
    ...sidecars.notes,
    ...(isLiveCopy ? ['it was copied while the database may have been written to'] : []),
    ...(form === 'sqlite-text' ? ['such SQL does not keep everything of a database'] : []),
  ];
}
