// What a crashed run has left in a repository: half published backups are finished where all of them is there, and what was
// never finished is removed. A file is touched only under the lock of its store, so nothing of a living run is.
import { createReadStream } from 'node:fs';
import { readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCodeOf } from '../errors.ts';
import { syncDirectory } from '../sync-directory.ts';
import { writeDurably } from './durable.ts';
import { journalDirectoryOf } from './journal-files.ts';
import type { Metadata } from './metadata.ts';
import {
  checksumNameOf,
  checksumTextOf,
  isArchiveOf,
  isPartialName,
  metadataNameOf,
  partialNameOf,
  stemOfPartial,
  storeOfPartialJournal,
} from './naming.ts';
import { findDeadScratch, removeTree } from './scratch.ts';

export interface Healed {
  /** Name of the file or directory. */
  readonly name: string;
  /** One line for people, without a full stop. */
  readonly message: string;
}

interface HealOptions {
  readonly dryRun?: boolean | undefined;
  readonly signal: AbortSignal;
}

export async function heal(
  directory: string,
  names: readonly string[],
  options: HealOptions,
): Promise<Healed[]> {
  const healed: Healed[] = [];
  for (const path of await findDeadScratch(directory)) {
    if (!options.dryRun) await removeTree(path);
    healed.push({
      name: path,
      message: `${options.dryRun ? 'would remove' : 'removed'} the scratch directory of a dead run`,
    });
  }
  const left = names.filter(isPartialName).flatMap((name) => {
    const of = stemOfPartial(name);
    return of ? [{ name, ...of }] : [];
  });
  for (const [store, ofStore] of Map.groupBy(left, (one) => one.store)) {
    const stems = new Set(ofStore.map(({ stem }) => stem));
    healed.push(...(await underLock(directory, store, options, () => healStore(directory, stems, options))));
  }
  const journal = journalDirectoryOf(directory);
  const journals = Map.groupBy(await namesIn(journal), storeOfPartialJournal);
  for (const [store, names] of journals) {
    if (store === undefined) continue;
    healed.push(
      ...(await underLock(directory, store, options, () => removePartials(journal, names, options))),
    );
  }
  return healed;
}

/** What a dead run has left of publishing; the caller MUST hold the store's lock. */
export async function settlePartials(directory: string, store: string, options: HealOptions): Promise<void> {
  const stems = (await namesIn(directory)).flatMap((name) => {
    const of = stemOfPartial(name);
    return of?.store === store ? [of.stem] : [];
  });
  if (stems.length > 0) await healStore(directory, new Set(stems), options);
}

/** Nothing where a living run has the store. */
async function underLock(
  directory: string,
  store: string,
  { signal }: HealOptions,
  act: () => Promise<Healed[]>,
): Promise<Healed[]> {
  const { takeLock } = await import('./lock.ts');
  const lock = await takeLock(directory, store, { command: 'pkbackup recover', signal }).catch(
    () => undefined,
  );
  if (!lock) return [];
  await using _lock = lock;
  return await act();
}

async function healStore(
  directory: string,
  stems: ReadonlySet<string>,
  { dryRun, signal }: HealOptions,
): Promise<Healed[]> {
  const healed: Healed[] = [];
  // Looked at again under the lock: its last holder may have ended in between.
  const names = (await readdir(directory)).filter((name) => stems.has(stemOfPartial(name)?.stem ?? ''));
  for (const stem of new Set(names.map((name) => stemOfPartial(name)?.stem ?? ''))) {
    const partials = names.filter((name) => stemOfPartial(name)?.stem === stem);
    const metadata = await waitingMetadata(directory, stem);
    if (metadata && (await isWhole(directory, stem, metadata, signal))) {
      if (!dryRun) {
        await finish(directory, stem, metadata);
        // Of a checksum that was being written; its name is another one each time.
        for (const name of partials) await rm(join(directory, name), { force: true });
      }
      healed.push({
        name: stem,
        message: `${dryRun ? 'would finish' : 'finished'} the backup "${stem}", which a crash left half published`,
      });
      continue;
    }
    healed.push(...(await removePartials(directory, partials, { dryRun })));
  }
  return healed;
}

async function removePartials(
  directory: string,
  names: readonly string[],
  { dryRun }: Pick<HealOptions, 'dryRun'>,
): Promise<Healed[]> {
  const healed: Healed[] = [];
  for (const name of names) {
    if (!dryRun) await rm(join(directory, name), { force: true });
    healed.push({
      name,
      message: `${dryRun ? 'would remove' : 'removed'} "${name}", which was never finished`,
    });
  }
  return healed;
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

async function waitingMetadata(directory: string, stem: string): Promise<Metadata | undefined> {
  const { parseMetadata } = await import('./metadata.ts');
  try {
    const name = partialNameOf(metadataNameOf(stem));
    return parseMetadata(await readFile(join(directory, name), 'utf8'), name);
  } catch {
    return undefined;
  }
}

async function isWhole(
  directory: string,
  stem: string,
  metadata: Metadata,
  signal: AbortSignal,
): Promise<boolean> {
  if (!isArchiveOf(stem, metadata.backup_file)) return false;
  const { createHash } = await import('node:crypto');
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(join(directory, metadata.backup_file), { signal }))
      hash.update(chunk);
  } catch {
    signal.throwIfAborted();
    return false;
  }
  return hash.digest('hex') === metadata.sha256;
}

async function finish(directory: string, stem: string, metadata: Metadata): Promise<void> {
  await writeDurably(join(directory, checksumNameOf(metadata.backup_file)), checksumTextOf(metadata));
  const name = metadataNameOf(stem);
  await rename(join(directory, partialNameOf(name)), join(directory, name));
  await syncDirectory(directory);
}
