// pkbackup alone: what is backed up, in one look. `status` takes its place when it lands.
import { list } from '../operations/list.ts';
import { overviewJson, overviewText } from '../reporters/overview.ts';
import { openRun, shortPath } from './open-run.ts';
import type { Session } from './session.ts';

export async function runOverview(session: Session): Promise<number> {
  const settings = await session.settings();
  const run = await openRun(session, 'overview');
  const [listed, freeBytes] = await Promise.all([list(run), run.repository.freeBytes()]);
  const overview = {
    listed,
    freeBytes,
    configured: settings.stores,
    repository: shortPath(settings.repository),
  };
  session.answer({
    text: (look) => overviewText(overview, look),
    json: () => overviewJson(overview),
    isAsked: true,
  });
  return 0;
}
