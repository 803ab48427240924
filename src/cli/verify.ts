// pkbackup verify: findings are the answer, and the exit code says that there are some.
import { errorCatalogue, PkbackupError } from '../errors.ts';
import type { BackupChoice } from '../operations/choose-backups.ts';
import type { VerifyLevel } from '../operations/inspect-archive.ts';
import { verify } from '../operations/verify.ts';
import { verifyJson, verifyText } from '../reporters/verify-result.ts';
import { announced, type Summary } from './announce.ts';
import { openRun } from './open-run.ts';
import type { Session } from './session.ts';
import { moment, oneOf, wholeNumber } from './values.ts';

export interface VerifyFlags {
  readonly level: string;
  readonly newest?: boolean;
  readonly all?: boolean;
  readonly sample?: string;
  readonly since?: string;
}

export async function runVerify(
  session: Session,
  backups: readonly string[],
  flags: VerifyFlags,
): Promise<number> {
  const level = oneOf('--level', flags.level, ['checksum', 'archive', 'content']);
  const choice = choiceOf(backups, flags);
  return announced(session, 'verify', (announcement) => {
    announcement.begin();
    return verifyAll(session, { ...choice, level }, flags);
  });
}

async function verifyAll(
  session: Session,
  options: BackupChoice & { readonly level: VerifyLevel },
  flags: VerifyFlags,
): Promise<Summary> {
  const result = await verify(await openRun(session, 'verify'), options);
  if (result.backups.length === 0) {
    throw new PkbackupError('not_found', 'there is no backup to verify', {
      hint:
        flags.since === undefined
          ? 'make the first with: pkbackup backup'
          : 'pkbackup list shows what there is',
    });
  }
  session.answer({
    text: (look) => verifyText(result, look),
    json: () => verifyJson(result),
    isAsked: !result.ok,
  });
  return {
    exitCode: result.ok ? 0 : errorCatalogue.damaged.exitCode,
    stores: result.backups.map(({ name, ok, backup, findings, durationMs }) => ({
      store: name,
      durationMs,
      ...(backup && { kind: backup.metadata.kind }),
      ...(ok ? {} : { error: { message: findings.join('\n') } }),
    })),
  };
}

/** `--newest` says what is so in any case, for those who want to read it. */
function choiceOf(backups: readonly string[], flags: VerifyFlags): BackupChoice {
  const { newest, all, sample, since } = flags;
  if (newest && (all || sample !== undefined || since !== undefined)) {
    throw new PkbackupError('usage', '--newest goes with none of --all, --sample and --since');
  }
  return {
    backups,
    all: all === true,
    ...(sample !== undefined && { sample: wholeNumber('--sample', sample, 1, 1_000_000) }),
    ...(since !== undefined && { since: moment('--since', since, new Date()) }),
  };
}
