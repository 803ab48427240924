// pkbackup adopt: what was taken over, what was not and why.
import { errorCatalogue, PkbackupError } from '../errors.ts';
import { type AdoptOptions, adopt, disown } from '../operations/adopt.ts';
import { adoptJson, adoptText } from '../reporters/adopt-result.ts';
import { openRepository } from '../repository/index.ts';
import { openRun } from './open-run.ts';
import type { Session } from './session.ts';

export interface AdoptFlags {
  readonly store?: string;
  readonly undo?: boolean;
  readonly dryRun?: boolean;
}

export async function runAdopt(
  session: Session,
  paths: readonly string[],
  flags: AdoptFlags,
): Promise<number> {
  const { dryRun = false, undo = false, store } = flags;
  if (undo && store !== undefined) throw new PkbackupError('usage', '--undo takes no --store');
  const { stores } = await session.settings();
  const run = await openRun(session, 'adopt', { heals: !dryRun });
  const options: AdoptOptions = {
    paths,
    dryRun,
    open: (directory) => openRepository(directory, { stores }),
    ...(store !== undefined && { store }),
  };
  const result = undo ? await disown(run, options) : await adopt(run, options);
  session.answer({
    text: (look) => adoptText(result, undo, look),
    json: () => adoptJson(result, undo),
    isAsked: dryRun,
  });
  return result.files.some(({ isDamaged }) => isDamaged) ? errorCatalogue.damaged.exitCode : 0;
}
