// A drill of an SQLite database: restored into the scratch directory, checked there, and asked the same as at the backup.
import { join } from 'node:path';
import { refuseImage } from './drill-server.ts';
import { removeTree } from './removal.ts';
import { compareAnswers } from './samples.ts';
import { inspectDatabase } from './sqlite-database.ts';
import type { SqliteTarget } from './sqlite-snapshot.ts';
import type { BackupFacts, DrillOptions, DrillPlace, StoreContext } from './store.ts';

export async function openSqliteDrill(
  _target: SqliteTarget | undefined,
  backup: BackupFacts,
  options: DrillOptions,
  { scratchDir, signal }: StoreContext,
): Promise<DrillPlace<SqliteTarget>> {
  refuseImage(backup, options);
  const directory = join(scratchDir, `drill-${options.id}`);
  // Not the name that the metadata has: that may be no name at all.
  const path = join(directory, 'restored.db');
  return {
    target: { path },
    serve: async () => undefined,
    async check() {
      const { findings, notChecked, counts, samples } = await inspectDatabase(path, {
        isLive: false,
        signal,
      });
      const compared = compareAnswers(backup.samples, samples);
      return { findings: [...findings, ...compared.findings], counts, notChecked, asked: compared.asked };
    },
    environment: () => ({ PATH: path }),
    [Symbol.asyncDispose]: () => removeTree(directory),
  };
}
