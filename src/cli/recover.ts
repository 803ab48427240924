// pkbackup recover: what crashed runs have left, and what became of it.
import { errorCatalogue } from '../errors.ts';
import { recover } from '../operations/recover.ts';
import { oneLine } from '../reporters/format.ts';
import { openRun } from './open-run.ts';
import type { Session } from './session.ts';

export interface RecoverFlags {
  readonly dryRun?: boolean;
}

export async function runRecover(session: Session, flags: RecoverFlags): Promise<number> {
  const run = await openRun(session, 'recover', { heals: false });
  const { config, stores } = await session.settings();
  const { done, ok } = await recover(run, {
    dryRun: flags.dryRun === true,
    withHelpers: true,
    isAsked: true,
    clientsRelease: config?.clientsRelease,
    stores,
  });
  session.answer({
    text: () => (done.length === 0 ? ['nothing to recover'] : done.map(({ message }) => oneLine(message))),
    json: () => ({ ok, dry_run: flags.dryRun === true, done }),
  });
  return ok ? 0 : errorCatalogue.failed.exitCode;
}
