// Everything that is wrong with one archive: its checksum, its form to the last byte, and the database in it by its own
// means. What verify reports, and what a restore asks before it touches anything.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileChunks } from '../archive/file-chunks.ts';
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
import type { BackupFacts, Content, ContentReport, ContentWatch } from '../stores/store.ts';
import { ArchiveProof, type Proof, progressOf, type Shown, wrongChecksum } from './archive-proof.ts';
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

/** Each level includes those before it, and is reached only where those find nothing. */
export function inspectArchive(
  run: Run,
  target: Backup | LooseArchive,
  level: VerifyLevel,
): Promise<Inspection> {
  return inspecting(run, target, async (inspector) => {
    if (isLoose(target) && target.problem) inspector.findings.push(target.problem);
    if (!target.path.endsWith('.metadata.json')) await inspectFile(run, target, level, inspector);
  });
}

/** The same as far as the reading goes that `proof` has watched, or now makes. */
export function inspectProof(run: Run, target: Backup, proof: ArchiveProof): Promise<Inspection> {
  return inspecting(run, target, async (inspector) => {
    inspector.reached = 'archive';
    const { watched } = await noteProof(inspector, target.metadata.sha256, proof);
    if (inspector.findings.length > 0) return;
    inspector.reached = 'content';
    noteContent(inspector, watched);
  });
}

async function inspecting(
  run: Run,
  { path }: Backup | LooseArchive,
  inspect: (inspector: Inspector) => Promise<void>,
): Promise<Inspection> {
  const inspector: Inspector = { findings: [], notChecked: [], reached: 'checksum' };
  const { findings, notChecked } = inspector;
  try {
    await inspect(inspector);
  } catch (error) {
    rethrowIfAborted(run, error);
    if (error instanceof PkbackupError && error.code !== 'bad_backup') throw error;
    if (isOfThisMachine(error)) {
      throw new PkbackupError('failed', `"${path}" could not be checked: ${messageOf(error)}`, {
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
  if (level === 'checksum') {
    noteChecksum(inspector, expected, await hashFile(run, target));
    return;
  }
  const isClean = findings.length === 0;
  if (isClean) inspector.reached = 'archive';
  const isAsked = isClean && level === 'content';
  const watch = isAsked ? watchFor(target) : undefined;
  const proof = new ArchiveProof(run, target, { watch });
  const asked = isAsked && !watch ? await askContent(run, target, proof) : {};
  const { watched } = await noteProof(inspector, expected, proof);
  if (!isAsked || findings.length > 0) return;
  inspector.reached = 'content';
  if (asked.error !== undefined) throw asked.error;
  noteContent(inspector, watched ?? asked.report);
}

async function noteProof(
  inspector: Inspector,
  expected: string | undefined,
  proof: ArchiveProof,
): Promise<Proof> {
  const proved = await proof.settle();
  inspector.shown = proved.shown;
  inspector.findings.push(...proved.findings);
  noteChecksum(inspector, expected, proved.sha256);
  return proved;
}

function noteChecksum(inspector: Inspector, expected: string | undefined, sha256: string): void {
  inspector.sha256 = sha256;
  if (!expected || sha256 === expected) return;
  inspector.reached = 'checksum';
  inspector.findings.push(wrongChecksum(expected, sha256));
}

function noteContent(inspector: Inspector, report: ContentReport | undefined): void {
  if (!report) {
    inspector.notChecked.push('the content: without metadata nobody knows what kind of store this was');
    return;
  }
  inspector.findings.push(...report.findings);
  inspector.notChecked.push(...(report.notChecked ?? []));
  if (report.databases) inspector.shown = { ...inspector.shown, databases: report.databases };
}

/** Of a kind whose content is looked at as it flows by. */
export function watchFor({ metadata }: Backup | LooseArchive): (() => ContentWatch) | undefined {
  if (!metadata) return undefined;
  const { watch } = storeOf(metadata.kind);
  return watch && (() => watch(factsOf(metadata)));
}

/**
 * What the database in it says for itself, out of the same reading that proves the archive. What goes wrong is told only
 * where that finds nothing: a database out of a damaged archive complains of much.
 */
async function askContent(
  run: Run,
  { metadata }: Backup | LooseArchive,
  proof: ArchiveProof,
): Promise<{ report?: ContentReport; error?: unknown }> {
  if (!metadata) return {};
  await using scratch = await run.repository.makeScratch();
  const facts = factsOf(metadata);
  const context = contextFor(run, facts.store, scratch.path);
  try {
    const report = await storeOf(facts.kind).check?.(proof, facts, context);
    return report ? { report } : {};
  } catch (error) {
    rethrowIfAborted(run, error);
    return { error };
  }
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
  quiesce,
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
    ...(quiesce === undefined ? {} : { quiesce }),
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
    for await (const chunk of fileChunks(target.path, run.signal)) {
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
