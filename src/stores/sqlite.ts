// SQLite database files of this host. Saved with the online backup API while writers go on, and checked on the copy. The
// log (-wal), its index (-shm) and the rollback journal are never in a backup, and never left beside a restored
// database: SQLite would play the old log into the new file and call the result sound. See docs/stores/sqlite.md.
import { randomBytes } from 'node:crypto';
import { basename, join, resolve } from 'node:path';
import { extractTree } from '../archive/extract-tree.ts';
import { PkbackupError } from '../errors.ts';
import { differencesOf } from './counts.ts';
import { removeTree } from './removal.ts';
import { compareAnswers } from './samples.ts';
import { inspectDatabase, SqliteError } from './sqlite-database.ts';
import { openSqliteDrill } from './sqlite-drill.ts';
import { isDatabase, lookAtDatabase } from './sqlite-file.ts';
import { planSqliteRestore, resumeSqliteRestore } from './sqlite-restore.ts';
import { findDatabaseIn, type SqliteTarget, schema, takeSnapshot } from './sqlite-snapshot.ts';
import type { BackupFacts, Content, ContentReport, Store, StoreContext } from './store.ts';

export const sqlite: Store<SqliteTarget> = {
  kind: 'sqlite',
  schema,
  quiesce: { default: 'none', allowed: ['none'] },
  pinsWhenTold: true,

  async recogniseFile(path) {
    return /\.(db|db3|sqlite|sqlite3)$/i.test(path) && (await isDatabase(path)) ? { path } : undefined;
  },

  async look({ path }) {
    const { version, stats, logBytes, isEmpty } = await lookAtDatabase(path);
    return {
      source: { path },
      // Counting means reading all of it: that is done on the copy.
      counts: {},
      estimatedBytes: Math.max(stats.size, logBytes),
      volumes: [],
      isEmpty,
      ...(version ? { version } : {}),
    };
  },

  async snapshot(target, _look, context) {
    const snapshot = await takeSnapshot(target, basename(target.path), context);
    const [finding] = snapshot.inspected.findings;
    if (finding === undefined) return snapshot;
    await snapshot.dispose();
    throw new PkbackupError('backup_failed', `"${target.path}" is damaged: ${finding}`, {
      hint: 'nothing was saved; restore the newest good backup, or repair it with the .recover of the sqlite3 shell',
    });
  },

  retarget: (target, to) => ({ ...target, path: resolve(to) }),

  planRestore: planSqliteRestore,
  resumeRestore: resumeSqliteRestore,
  openDrill: openSqliteDrill,

  async askLive({ path }, _content, { signal }) {
    const { findings, counts } = await inspectDatabase(path, { isLive: true, signal });
    return { findings, counts };
  },

  async check(content, backup, context) {
    const directory = join(context.scratchDir, `check-${randomBytes(4).toString('hex')}`);
    try {
      return await checkContent(content, directory, backup, context);
    } finally {
      await removeTree(directory);
    }
  },
};

async function checkContent(
  content: Content,
  directory: string,
  backup: BackupFacts,
  { signal }: StoreContext,
): Promise<ContentReport> {
  await extractTree(content.tar(), directory, { signal, keepOwner: false, failureCode: 'failed' });
  try {
    const path = await findDatabaseIn(directory, signal);
    const { findings, notChecked, counts, samples } = await inspectDatabase(path, { isLive: false, signal });
    const wrong = [
      ...differencesOf(backup.counts, counts),
      ...compareAnswers(backup.samples, samples).findings,
    ];
    return { findings: [...findings, ...wrong], counts, notChecked };
  } catch (error) {
    const isFinding =
      error instanceof SqliteError || (error instanceof PkbackupError && error.code === 'bad_backup');
    if (!isFinding) throw error;
    return { findings: [error.message], counts: {} };
  }
}
