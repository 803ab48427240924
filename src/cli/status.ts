// pkbackup status: how well everything is backed up; exit code 9 where anything is not as it should be. It heals nothing and
// writes nothing, so that whoever asks every minute disturbs nobody.
import { errorCatalogue } from '../errors.ts';
import { list } from '../operations/list.ts';
import { type StatusResult, status } from '../operations/status.ts';
import { firstSteps, statusJson, statusText } from '../reporters/status-result.ts';
import { refuseUnknown } from './list.ts';
import { openRun, shortPath } from './open-run.ts';
import type { Session } from './session.ts';

export async function runStatus(session: Session, names: readonly string[]): Promise<number> {
  const { result, repository } = await look(session, names);
  session.answer({
    text: (how) => statusText(result, repository, how),
    json: () => statusJson(result),
    isAsked: !result.ok,
  });
  return result.ok ? 0 : errorCatalogue.unhealthy.exitCode;
}

/** pkbackup alone is a look, for people: nothing is wrong with having no backup yet. */
export async function runOverview(session: Session): Promise<number> {
  const { result, repository } = await look(session, []);
  session.answer({
    text: (how) => [...statusText(result, repository, how), '', firstSteps],
    json: () => statusJson(result),
    isAsked: true,
  });
  return 0;
}

async function look(
  session: Session,
  names: readonly string[],
): Promise<{ result: StatusResult; repository: string }> {
  const { stores, config, repository } = await session.settings();
  const run = await openRun(session, 'status', { heals: false });
  if (names.length > 0) refuseUnknown(names, await list(run), stores);
  const result = await status(run, {
    configured: stores,
    config,
    ...(names.length > 0 && { stores: names }),
  });
  return { result, repository: shortPath(repository) };
}
