// The files in which operations write down how far they are, for whoever finds them after a crash.
import { constants, type Stats } from 'node:fs';
import { lstat, mkdir, open, readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import process from 'node:process';
import { PkbackupError, systemCodeOf } from '../errors.ts';
import { writeDurably } from './durable.ts';
import { isPartialName, storeOfJournal } from './naming.ts';

export interface JournalFiles {
  /** Replaced whole; on disk when it returns. */
  write(name: string, text: string): Promise<void>;
  remove(name: string): Promise<void>;
  /** Whether there is any file; true where that cannot be told. */
  hasAny(): Promise<boolean>;
  /**
   * By name; all, or those of one store. Throws where one belongs to somebody else: what it says would be done.
   */
  read(suffix: string, store?: string): Promise<{ readonly name: string; readonly text: string }[]>;
}

export function journalDirectoryOf(directory: string): string {
  return join(directory, '.pkbackup', 'journal');
}

export function journalFilesIn(directory: string): JournalFiles {
  const journal = journalDirectoryOf(directory);
  return {
    async write(name, text) {
      await mkdir(journal, { recursive: true, mode: 0o700 });
      await writeDurably(join(journal, name), text);
    },
    async remove(name) {
      // What a crash left of writing it, first: nobody would know of it afterwards.
      const isPartial = (each: string) => each.startsWith(`.${name}.`) && isPartialName(each);
      for (const each of [...(await namesIn(journal)).filter(isPartial), name]) {
        await rm(join(journal, each), { force: true });
      }
    },
    hasAny: () =>
      namesIn(journal).then(
        (names) => names.length > 0,
        () => true,
      ),
    async read(suffix, store) {
      const isWanted = (name: string) =>
        store === undefined
          ? name.endsWith(suffix) && !name.startsWith('.')
          : storeOfJournal(name, suffix) === store;
      const wanted = (await namesIn(journal)).filter(isWanted).sort();
      if (wanted.length === 0) return [];
      for (const path of [join(directory, '.pkbackup'), journal]) await refuseForeign(path);
      return Promise.all(wanted.map((name) => readOwn(join(journal, name))));
    },
  };
}

async function namesIn(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Who may write to the directory may put a file there that was ours and said something else. */
async function refuseForeign(path: string): Promise<void> {
  const stats = await lstat(path);
  if (!stats.isDirectory() || !isOurs(stats)) throw foreign(path);
}

async function readOwn(path: string): Promise<{ name: string; text: string }> {
  const file = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
  try {
    const stats = await file.stat();
    if (!stats.isFile() || stats.nlink !== 1 || !isOurs(stats)) throw foreign(path);
    return { name: basename(path), text: await file.readFile('utf8') };
  } finally {
    await file.close();
  }
}

function isOurs({ uid, mode }: Stats): boolean {
  return process.getuid === undefined || (uid === process.getuid() && (mode & 0o022) === 0);
}

function foreign(path: string): PkbackupError {
  return new PkbackupError('failed', `"${path}" belongs to another user, or others may write to it`, {
    hint: 'a restore was broken off; run "pkbackup recover" as the user who started it',
  });
}
