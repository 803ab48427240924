// Everything that is wrong with one archive: its checksum, its form to the last byte, and the database in it by its own
// means. What verify reports, and what a restore asks before it touches anything.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { EntryGuard } from '../archive/entry-guard.ts';
import type { TarEntry } from '../archive/tar-format.ts';
import { letGoOfData, TarScanner } from '../archive/tar-scan.ts';
import { messageOf, PkbackupError, systemCodeOf } from '../errors.ts';
import { decodeText, inspectListed, readContent } from '../legacy/index.ts';
import {
  type Backup,
  checksumNameOf,
  isUnadopted,
  type LooseArchive,
  type Metadata,
} from '../repository/index.ts';
import { storeOf } from '../stores/index.ts';
import type { BackupFacts, Content } from '../stores/store.ts';
import { contextFor, type Run, rethrowIfAborted } from './run.ts';

export type VerifyLevel = 'checksum' | 'archive' | 'content';

export interface Inspection {
  /** An empty list is a pass. */
  readonly findings: string[];
  readonly notChecked: string[];
  /** The level at which they were found; undefined for a pass. */
  readonly foundBy?: VerifyLevel;
  /** Of the file, where all of it was read. */
  readonly sha256?: string;
  /** What archive and content say of themselves, and the metadata may not. */
  readonly shown?: Shown;
}

type Shown = Pick<BackupFacts, 'databases' | 'rawSizeBytes' | 'entries'>;

/** Each level includes those before it, and is reached only where those find nothing. */
export async function inspectArchive(
  run: Run,
  target: Backup | LooseArchive,
  level: VerifyLevel,
): Promise<Inspection> {
  const inspector: Inspector = { findings: [], notChecked: [], reached: 'checksum' };
  const { findings, notChecked } = inspector;
  try {
    if (isLoose(target) && target.problem) findings.push(target.problem);
    if (!target.path.endsWith('.metadata.json')) await inspectFile(run, target, level, inspector);
  } catch (error) {
    rethrowIfAborted(run, error);
    if (error instanceof PkbackupError && error.code !== 'bad_backup') throw error;
    if (isOfThisMachine(error)) {
      throw new PkbackupError('failed', `"${target.path}" could not be checked: ${messageOf(error)}`, {
        cause: error,
      });
    }
    findings.push(messageOf(error));
  }
  const { reached, sha256, shown } = inspector;
  return {
    findings,
    notChecked,
    ...(findings.length > 0 && { foundBy: reached }),
    ...(sha256 !== undefined && { sha256 }),
    ...(shown && { shown }),
  };
}

/** A full disk or too many open files say nothing of a backup; that its own bytes cannot be read does. */
function isOfThisMachine(error: unknown): boolean {
  const code = systemCodeOf(error) ?? '';
  return /^E(?!RR_)[A-Z0-9]+$/.test(code) && !['EIO', 'ENOENT', 'EISDIR'].includes(code);
}

export function isLoose(target: Backup | LooseArchive): target is LooseArchive {
  return target.metadata === undefined;
}

interface Inspector {
  readonly findings: string[];
  readonly notChecked: string[];
  reached: VerifyLevel;
  sha256?: string;
  shown?: Shown;
}

async function inspectFile(
  run: Run,
  target: Backup | LooseArchive,
  level: VerifyLevel,
  inspector: Inspector,
): Promise<void> {
  const { findings, notChecked } = inspector;
  if (isLoose(target) && target.listed) {
    findings.push(...(await inspectListed(target.path, target.listed)));
    notChecked.push(`nothing can be restored from it: ${target.listed.reason}`);
    return;
  }
  const expected = await expectedChecksum(target, findings);
  if (!expected) notChecked.push('there is no checksum to compare with');
  if (level !== 'checksum' && findings.length === 0) inspector.reached = 'archive';
  const sha256 = level === 'checksum' ? await hashFile(run, target) : await readWhole(run, target, inspector);
  if (sha256 !== undefined) inspector.sha256 = sha256;
  if (expected && sha256 !== undefined && sha256 !== expected) {
    inspector.reached = 'checksum';
    findings.push(`the checksum is wrong: expected ${expected}, got ${sha256}`);
  }
  if (level !== 'content' || findings.length > 0) return;
  inspector.reached = 'content';
  await checkContent(run, target, inspector);
}

export function factsOf({
  store,
  kind,
  source,
  counts,
  databases,
  only,
  store_version,
  raw_size_bytes,
  entries,
  stored_bytes,
  samples,
}: Metadata): BackupFacts {
  return {
    store,
    kind,
    counts,
    source: { ...source } as BackupFacts['source'],
    ...(databases === undefined ? {} : { databases }),
    ...(only === undefined ? {} : { only }),
    ...(store_version === undefined ? {} : { storeVersion: store_version }),
    ...(raw_size_bytes === undefined ? {} : { rawSizeBytes: raw_size_bytes }),
    ...(entries === undefined ? {} : { entries }),
    ...(stored_bytes === undefined ? {} : { storedBytes: stored_bytes }),
    ...(samples === undefined ? {} : { samples }),
  };
}

export function contentOf(run: Run, { path, metadata }: Pick<Backup, 'path' | 'metadata'>): Content {
  return { tar: () => readContent(path, metadata.form, { signal: run.signal }) };
}

/** The sidecar and the metadata must say the same; files of other origin may have one of them, or none. */
async function expectedChecksum(
  target: Backup | LooseArchive,
  findings: string[],
): Promise<string | undefined> {
  const sidecar = await readSidecar(target.path, findings);
  const recorded = target.metadata?.sha256 || undefined;
  if (target.metadata && sidecar === undefined && !isUnadopted(target))
    findings.push('the checksum file is missing');
  if (sidecar && recorded && sidecar !== recorded) {
    findings.push(`the checksum file says ${sidecar}, the metadata says ${recorded}`);
  }
  return recorded ?? sidecar;
}

async function readSidecar(path: string, findings: string[]): Promise<string | undefined> {
  const file = join(dirname(path), checksumNameOf(basename(path)));
  let text: string;
  try {
    text = decodeText(await readFile(file));
  } catch {
    return undefined;
  }
  const hex = /^\s*([0-9a-fA-F]{64})(\s|$)/.exec(text)?.[1];
  if (!hex) findings.push(`the checksum file does not hold a SHA-256 checksum`);
  return hex?.toLowerCase();
}

async function hashFile(run: Run, target: Backup | LooseArchive): Promise<string> {
  const hash = createHash('sha256');
  const count = progressOf(run, target);
  try {
    for await (const chunk of createReadStream(target.path, { signal: run.signal, highWaterMark: 1 << 20 })) {
      hash.update(chunk);
      count(chunk.length);
    }
  } catch (error) {
    throw new PkbackupError('bad_backup', `"${target.path}" cannot be read: ${messageOf(error)}`, {
      cause: error,
    });
  }
  return hash.digest('hex');
}

/** Decompresses and walks everything, and hashes the file in the same pass; undefined where that was broken off. */
async function readWhole(
  run: Run,
  target: Backup | LooseArchive,
  inspector: Inspector,
): Promise<string | undefined> {
  const { findings } = inspector;
  const hash = createHash('sha256');
  const count = progressOf(run, target);
  const onBytes = (bytes: Buffer) => {
    hash.update(bytes);
    count(bytes.length);
  };
  const scanner = new TarScanner();
  const guard = new FirstHostile();
  const limitBytes = target.metadata?.raw_size_bytes ?? Number.POSITIVE_INFINITY;
  let entries = 0;
  let rawSizeBytes = 0;
  const options = { signal: run.signal, onBytes };
  for await (const chunk of readContent(target.path, target.metadata?.form, options)) {
    rawSizeBytes += chunk.length;
    const pieces = [...scanner.scan(chunk)];
    for (const piece of pieces) {
      if (piece.type !== 'entry') continue;
      entries += 1;
      guard.look(piece.entry);
    }
    letGoOfData(pieces);
    // What decompresses to a thousand times its size is not read to its end.
    if (rawSizeBytes > limitBytes) {
      findings.push(`the archive holds more than the ${limitBytes} bytes of tar that its metadata says`);
      return undefined;
    }
  }
  scanner.end();
  inspector.shown = { rawSizeBytes, entries };
  if (guard.finding !== undefined) findings.push(guard.finding);
  compare(findings, 'entries', target.metadata?.entries, entries);
  compare(findings, 'bytes of tar', target.metadata?.raw_size_bytes, rawSizeBytes);
  return hash.digest('hex');
}

/** One is enough to refuse all of it. */
class FirstHostile {
  finding: string | undefined;
  readonly #guard = new EntryGuard();

  look(entry: TarEntry): void {
    if (this.finding !== undefined) return;
    try {
      this.#guard.check(entry);
    } catch (error) {
      this.finding = messageOf(error);
    }
  }
}

function compare(findings: string[], what: string, expected: number | undefined, found: number): void {
  if (expected === undefined || expected === found) return;
  findings.push(`the archive has ${found} ${what}, its metadata says ${expected}`);
}

async function checkContent(run: Run, target: Backup | LooseArchive, inspector: Inspector): Promise<void> {
  const { findings, notChecked } = inspector;
  if (!target.metadata) {
    notChecked.push('the content: without metadata nobody knows what kind of store this was');
    return;
  }
  await using scratch = await run.repository.makeScratch();
  const facts = factsOf(target.metadata);
  const context = contextFor(run, facts.store, scratch.path);
  const report = await storeOf(facts.kind).check(contentOf(run, target), facts, context);
  findings.push(...report.findings);
  notChecked.push(...(report.notChecked ?? []));
  if (report.databases) inspector.shown = { ...inspector.shown, databases: report.databases };
}

function progressOf(run: Run, target: Backup | LooseArchive): (bytes: number) => void {
  if (!target.metadata) return () => {};
  const { store, size_bytes: totalBytes } = target.metadata;
  let doneBytes = 0;
  return (bytes) => {
    doneBytes += bytes;
    run.emit({ type: 'progress', store, phase: 'verifying', doneBytes, totalBytes });
  };
}
