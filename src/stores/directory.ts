// Directories of this host: saved hot, as they are, with patterns for what to take and what to leave. What changes while
// it is read is told, never hidden. See docs/stores/directory.md.
import { realpath, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { cannotRead } from '../archive/pack-parts.ts';
import { packTree } from '../archive/pack-tree.ts';
import { safePartsOf } from '../archive/safe-name.ts';
import { PkbackupError, systemCodeOf } from '../errors.ts';
import { countTree } from './count-tree.ts';
import { differencesOf } from './counts.ts';
import { openDirectoryDrill } from './directory-drill.ts';
import {
  type DirectoryTarget,
  planDirectoryRestore,
  resumeDirectoryRestore,
  schema,
  selectionOf,
} from './directory-restore.ts';
import { ownPathsIn, pathBelow } from './own-repository.ts';
import { PackNotes } from './pack-notes.ts';
import type { Skip } from './patterns.ts';
import type { BackupFacts, ContentWatch, Snapshot, Store, StoreContext } from './store.ts';
import { TreeSampler } from './tree-samples.ts';

export const directory: Store<DirectoryTarget> = {
  kind: 'directory',
  schema,
  quiesce: { default: 'none', allowed: ['none'] },

  async look(target, context) {
    const path = await findDirectory(target.path);
    const skip = await skipFor(path, target, context);
    const { bytes, counts } = await countTree(path, skip, context.signal);
    return {
      source: { path: target.path },
      counts,
      estimatedBytes: bytes,
      volumes: [],
      isEmpty: counts.files + counts.directories === 0,
    };
  },

  async snapshot(target, _look, context) {
    const path = await findDirectory(target.path);
    const skip = await skipFor(path, target, context);
    const { repositoryDir } = context;
    const isWithin = repositoryDir !== undefined && (await pathBelow(path, repositoryDir)) !== undefined;
    if (isWithin) {
      const message = `the repository "${repositoryDir}" lies within "${target.path}" and is left out`;
      context.emit({ type: 'warning', store: context.store, message, hint: 'keep backups on another disk' });
    }
    return snapshotOf(path, skip, context);
  },

  retarget: (target, to) => ({ ...target, path: resolve(to) }),

  planRestore: planDirectoryRestore,
  resumeRestore: resumeDirectoryRestore,

  openDrill: openDirectoryDrill,

  watch: watchTree,
};

/** What the files mean nobody here knows: they are counted, and compared with what was recorded of them. */
function watchTree(backup: BackupFacts): ContentWatch {
  const counts = { files: 0, directories: 0 };
  const sampler = new TreeSampler();
  return {
    add(piece) {
      sampler.add(piece);
      if (piece.type !== 'entry' || safePartsOf(piece.entry.path).length === 0) return;
      counts[piece.entry.type === 'directory' ? 'directories' : 'files'] += 1;
    },
    report: () => ({
      findings: [...differencesOf(backup.counts, counts), ...sampler.differences(backup.samples)],
      counts,
    }),
  };
}

function snapshotOf(path: string, skip: Skip, { signal }: StoreContext): Snapshot {
  const counts = { files: 0, directories: 0 };
  const notes = new PackNotes();
  const sampler = new TreeSampler();
  return {
    pinnedAt: new Date(),
    get samples() {
      return sampler.samples();
    },
    tar: packTree(path, {
      skip,
      signal,
      onEntry: (isDirectory) => {
        counts[isDirectory ? 'directories' : 'files'] += 1;
      },
      onChanged: (name, what) => notes.add(name, what),
    }),
    watch: (piece) => sampler.add(piece),
    counts,
    notes: () => notes.lines(),
  };
}

/** The directory itself where `path` is a link to one. */
async function findDirectory(path: string): Promise<string> {
  try {
    const real = await realpath(path);
    if ((await stat(real)).isDirectory()) return real;
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR'].includes(systemCodeOf(error) ?? '')) throw cannotRead(path, error);
    throw new PkbackupError('not_found', `"${path}" is not there`, { hint: 'check "path" of this store' });
  }
  throw new PkbackupError('not_found', `"${path}" is a file, expected a directory`, {
    hint: 'for a database file use its own kind',
  });
}

/** The patterns, and what is pkbackup's own. */
async function skipFor(path: string, target: DirectoryTarget, context: StoreContext): Promise<Skip> {
  const selected = selectionOf(target);
  const own = await ownPathsIn(path, context);
  if (own.includes('')) throw isRepository(target.path);
  return (relativePath, isDirectory) => own.includes(relativePath) || selected(relativePath, isDirectory);
}

function isRepository(path: string): PkbackupError {
  return new PkbackupError('config', `"${path}" is the repository itself, which cannot be a store in it`, {
    hint: 'choose another repository with --backup-dir',
  });
}
