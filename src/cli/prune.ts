// pkbackup prune: the plan with its reasons, the question, and what was removed.
import { choosePolicy, policiesOf, type RetentionFlags } from '../config/index.ts';
import { PkbackupError } from '../errors.ts';
import { list } from '../operations/list.ts';
import { type PruneResult, planPrune, prune, emptyTrash as removeTrash } from '../operations/prune.ts';
import { plural } from '../reporters/format.ts';
import { pruneJson, pruneText } from '../reporters/prune-result.ts';
import { refuseUnknown } from './list.ts';
import { openRun } from './open-run.ts';
import { askYesNo, refuseToAsk } from './prompt.ts';
import type { Session } from './session.ts';

export interface PruneFlags extends RetentionFlags {
  readonly emptyTrash?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

export async function runPrune(
  session: Session,
  names: readonly string[],
  flags: PruneFlags,
): Promise<number> {
  const { dryRun = false, emptyTrash = false, yes, ...retention } = flags;
  if (!yes && !dryRun && !session.canAsk) throw refuseToAsk('prune');
  const settings = await session.settings();
  const { environment, config } = settings;
  const { policy, from, ofStores } = choosePolicy(retention, environment, policiesOf(config));
  const run = await openRun(session, 'prune', { heals: !dryRun });
  if (names.length > 0) refuseUnknown(names, await list(run), settings.stores);
  if (policy === undefined) {
    session.tell(`retention is turned off (${from}): every backup is kept`);
    const nothing = { plan: [], dryRun, freedBytes: 0 };
    if (emptyTrash && !dryRun) {
      if (!yes) await confirm(session, nothing, from, emptyTrash);
      await removeTrash(run, 0, names.length > 0 ? { stores: names } : {});
    }
    session.answer({ text: () => [], json: () => pruneJson(nothing, from) });
    return 0;
  }
  const options = { policy, ofStores, dryRun, emptyTrash, ...(names.length > 0 && { stores: names }) };
  if (!yes && !dryRun) await confirm(session, await planPrune(run, options), from, emptyTrash);
  const result = await prune(run, options);
  session.answer({
    text: (look) => pruneText(result, from, look),
    json: () => pruneJson(result, from),
    isAsked: dryRun,
  });
  return 0;
}

async function confirm(
  session: Session,
  planned: PruneResult,
  from: string,
  emptyTrash: boolean,
): Promise<void> {
  const count = planned.plan.filter(({ keep }) => !keep).length;
  if (count === 0 && !emptyTrash) return;
  session.show((look) => pruneText(planned, from, look));
  const questions = [
    ...(count > 0 ? [`move ${plural(count, 'backup')} to the trash`] : []),
    ...(emptyTrash ? ['remove for good what is in the trash'] : []),
  ];
  const question = questions.join(', and ');
  if (await askYesNo(`${question.charAt(0).toUpperCase()}${question.slice(1)}? [y/N] `, session.signal))
    return;
  throw new PkbackupError('cancelled', 'cancelled; nothing was removed');
}
