// pkbackup guard: a way back around a command of the user's; and what a person decides of one that waits.
import process from 'node:process';
import { exitCodeOf, PkbackupError } from '../errors.ts';
import { type GuardResult, guard } from '../operations/guard.ts';
import { settleGuard } from '../operations/recover-guards.ts';
import { guardJson, guardText } from '../reporters/guard-result.ts';
import type { RollbackMode } from '../repository/index.ts';
import { type Announcement, announced, type Summary } from './announce.ts';
import { unfoldGuardedCommand } from './check-command.ts';
import { type DiscoveryFlags, openRun, storesFor } from './open-run.ts';
import { askYesNo } from './prompt.ts';
import type { Session } from './session.ts';
import { duration, oneOf, wholeNumber } from './values.ts';

export interface GuardFlags extends DiscoveryFlags {
  readonly run?: readonly string[];
  readonly rollback?: string;
  readonly deadline?: string;
  readonly mayShrink?: string;
  readonly drillImage?: readonly string[];
  readonly undo?: boolean;
  readonly accept?: boolean;
}

const rollbackModes: readonly RollbackMode[] = ['ask', 'auto', 'never'];

export async function runGuard(
  session: Session,
  names: readonly string[],
  flags: GuardFlags,
): Promise<number> {
  if (flags.undo || flags.accept) return runDecision(session, names, flags);
  const command = unfoldGuardedCommand(flags.run);
  const wish = wishOf(flags, names);
  return announced(session, 'guard', (announcement) =>
    guardAll(session, names, flags, { ...wish, command }, announcement),
  );
}

interface Wish {
  readonly rollback: RollbackMode;
  readonly mayShrinkPercent: number;
  readonly deadlineMs?: number;
  /** `[STORE, IMAGE]` */
  readonly drillImages: readonly (readonly [string | undefined, string])[];
}

/** What the flags say; throws `usage` before anything else happens. */
function wishOf(
  { rollback = 'ask', mayShrink, deadline, drillImage = [] }: GuardFlags,
  names: readonly string[],
): Wish {
  const drillImages = drillImage.map((text) => {
    const [, store, image = text] = /^([^=/:@]+)=(.+)$/.exec(text) ?? [];
    return [store, image] as const;
  });
  const [unnamed] = drillImages.find(([store]) => store === undefined) ?? [undefined];
  if (drillImages.some(([store]) => store === undefined) && names.length !== 1) {
    throw new PkbackupError('usage', '--drill-image: of several stores, say which one it is for', {
      hint: `--drill-image STORE=${unnamed ?? 'IMAGE'}`,
    });
  }
  return {
    rollback: oneOf('--rollback', rollback, rollbackModes),
    mayShrinkPercent: mayShrink === undefined ? 0 : wholeNumber('--may-shrink', mayShrink, 0, 100),
    ...(deadline !== undefined && { deadlineMs: duration('--deadline', deadline) }),
    drillImages,
  };
}

async function guardAll(
  session: Session,
  names: readonly string[],
  flags: GuardFlags,
  { drillImages, ...wish }: Wish & { command: readonly string[] },
  announcement: Announcement,
): Promise<Summary> {
  const run = await openRun(session, ['guard', ...names].join(' '));
  const stores = await storesFor(session, names, flags);
  const [only] = stores;
  const images = drillImages.map(([store, image]): [string, string] => [store ?? only?.name ?? '', image]);
  for (const [store] of images) {
    if (!stores.some(({ name }) => name === store))
      throw new PkbackupError('usage', `--drill-image: "${store}" is not one of the guarded stores`);
  }
  announcement.begin();
  const result = await guard(run, {
    stores,
    ...wish,
    commandEnvironment: process.env,
    onOutput: (line) => session.tell(line),
    drillImages: new Map(images),
    decide: async (findings) => (session.canAsk ? decide(session, findings) : false),
  });
  session.answer({ text: (look) => guardText(result, look), json: () => guardJson(result) });
  const error = errorOf(result);
  if (error) session.tellError(error);
  return {
    exitCode: error ? exitCodeOf(error) : 0,
    stores: [],
    ...(error && { error }),
  };
}

async function decide(session: Session, findings: readonly string[]): Promise<boolean> {
  session.show(() => findings.map((finding) => `  - ${finding}`));
  const question = 'Put the previous containers and the data of the backup back? [Y/n] ';
  return askYesNo(question, session.signal, true);
}

function errorOf({ outcome, findings, backups }: GuardResult): PkbackupError | undefined {
  const stores = backups.map(({ store }) => store).join(', ');
  const why = findings.join('; ');
  switch (outcome) {
    case 'fine':
      return undefined;
    case 'not-run':
      return new PkbackupError('usage', `${why}; nothing was changed`, {
        hint: 'say the program with its path, and each argument by itself: there is no shell',
      });
    case 'rolled-back':
      return new PkbackupError('rolled_back', `${stores}: rolled back, because ${why}`, {
        hint: `what the new version had is a backup: pkbackup list ${backups[0]?.store ?? ''}`.trim(),
      });
    case 'waiting':
      return new PkbackupError('needs_human', `${stores}: ${why}`, {
        hint: 'pkbackup guard --undo goes back, pkbackup guard --accept keeps it as it is; until then the way back stays open',
      });
  }
}

async function runDecision(
  session: Session,
  names: readonly string[],
  { undo, accept, run: command = [] }: GuardFlags,
): Promise<number> {
  if ((undo && accept) || command.length > 0)
    throw new PkbackupError('usage', '--undo and --accept go with nothing but names of stores');
  const decision = undo ? 'undo' : 'accept';
  const run = await openRun(session, `guard --${decision}`, { leavesGuards: true });
  const { record, outcome, findings } = await settleGuard(run, decision, names);
  const stores = record.stores.map(({ store }) => store);
  if (outcome === 'waiting') {
    throw new PkbackupError('needs_human', `${stores.join(', ')}: ${findings.join('; ')}`, {
      hint: 'set right what is in the way, then pkbackup guard --undo again',
    });
  }
  const isBack = outcome === 'rolled-back';
  session.answer({
    text: () => [`${stores.join(', ')}: ${isBack ? 'rolled back' : 'accepted as it is now'}`],
    json: () => ({ ok: true, outcome: outcome.replace('-', '_'), stores }),
  });
  return 0;
}
