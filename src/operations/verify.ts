// pkbackup verify: does the file hold what was written (checksum), can all of it be read (archive), and is the database in
// it sound (content)? Each level includes those before it. Findings are data; nothing here writes to a live store.
import type { Backup } from '../repository/index.ts';
import { type BackupChoice, type Chosen, chooseBackups } from './choose-backups.ts';
import { inspectArchive, type VerifyLevel } from './inspect-archive.ts';
import { recordCheck } from './record-check.ts';
import type { Run } from './run.ts';

export interface VerifiedBackup {
  /** Stem, or the path of a file without metadata. */
  readonly name: string;
  readonly path: string;
  readonly backup: Backup | undefined;
  readonly level: VerifyLevel;
  readonly ok: boolean;
  readonly findings: readonly string[];
  /** The level that found them; undefined where there are none. */
  readonly foundBy: VerifyLevel | undefined;
  /** What could not be checked with what is at hand. */
  readonly notChecked: readonly string[];
  readonly durationMs: number;
}

export interface VerifyResult {
  readonly ok: boolean;
  readonly backups: readonly VerifiedBackup[];
}

export async function verify(
  run: Run,
  options: BackupChoice & { readonly level: VerifyLevel },
): Promise<VerifyResult> {
  const backups: VerifiedBackup[] = [];
  for (const target of await chooseBackups(await run.repository.list(), options)) {
    backups.push(await verifyOne(run, target, options.level));
  }
  return { ok: backups.every((verified) => verified.ok), backups };
}

async function verifyOne(run: Run, target: Chosen, level: VerifyLevel): Promise<VerifiedBackup> {
  const startedMs = Date.now();
  const backup = target.metadata ? target : undefined;
  const name = backup?.stem ?? target.path;
  if (backup) {
    const { kind } = backup.metadata;
    run.emit({ type: 'started', store: backup.store, kind, operation: 'verify', backup: name });
  }
  const { findings, notChecked, foundBy } = await inspectArchive(run, target, level);
  const ok = findings.length === 0;
  if (backup) {
    await recordCheck(run, backup, level, findings);
    run.emit({ type: 'ended', store: backup.store, ok, ...(findings[0] ? { message: findings[0] } : {}) });
  }
  const durationMs = Date.now() - startedMs;
  return { name, path: target.path, backup, level, ok, findings, foundBy, notChecked, durationMs };
}
