// What can be seen to be wrong before anything is held or written: the wrong place, nothing in it, another instance than
// before, a repository without room or without the right to write, a clock that is wrong; and before anything is published,
// that the copy has much less in it than the last good backup. What makes the backup worthless is refused, the rest is told.
import type { ConfiguredStore } from '../config/types.ts';
import { PkbackupError } from '../errors.ts';
import type { Backup, Metadata } from '../repository/index.ts';
import type { Look, Source } from '../stores/store.ts';
import type { Quiesce } from '../words.ts';
import type { Run } from './run.ts';
import { defaultMaxShrinkPercent, extentOf, shrinkOf } from './shrink.ts';

export interface PreflightOptions {
  readonly allowEmpty?: boolean;
  readonly quiesce: Quiesce;
}

/** What is done about a store that has shrunk. */
export interface ShrinkRules {
  /** For stores that say nothing of their own. */
  readonly maxShrinkPercent?: number | undefined;
  readonly failOnShrink?: boolean | undefined;
}

/** Throws `backup_failed`, `ambiguous`, or `failed` where the repository cannot be written to; gives the store's backups. */
export async function preflight(
  run: Run,
  store: ConfiguredStore,
  look: Look,
  options: PreflightOptions,
): Promise<readonly Backup[]> {
  refuseEmpty(look, store, options);
  await run.repository.assertWritable();
  const { backups } = await run.repository.list();
  const ofStore = backups.filter(({ store: name, metadata }) => name === store.name && !metadata.safety);
  const last = ofStore[0]?.metadata;
  if (last) refuseOtherInstance(run, store, last.source, look.source);
  if (last) warnOfFuture(run, store, last);
  await warnOfLittleSpace(run, store, look, last, options.quiesce);
  return ofStore;
}

/** What the copy holds, before it is published: a look at a live store only estimates. Throws `backup_failed`. */
export function judgeShrink(
  run: Pick<Run, 'emit'>,
  store: ConfiguredStore,
  { copy, earlier }: { copy: Metadata; earlier: readonly Backup[] },
  { maxShrinkPercent, failOnShrink }: ShrinkRules,
): void {
  const last = earlier.find(({ isDamaged, metadata }) => !isDamaged && metadata.form === undefined);
  const max = store.expects?.maxShrinkPercent ?? maxShrinkPercent ?? defaultMaxShrinkPercent;
  const shrink = last && shrinkOf(extentOf(last.metadata), extentOf(copy), max);
  if (!shrink) return;
  const { what, was, is, percent } = shrink;
  const message = `${percent} % less than in the last good backup: ${was} ${what.replaceAll('_', ' ')} then, ${is} now`;
  if (failOnShrink) {
    throw new PkbackupError('backup_failed', `${store.name}: ${message}`, {
      hint: 'nothing was published; see what became of the data, and if it is right, back it up with --no-fail-on-shrink',
    });
  }
  run.emit({
    type: 'warning',
    store: store.name,
    message,
    hint: `see what became of the data; so that the last good backup stays: pkbackup pin ${last.stem}`,
  });
}

const clockMarginMs = 5 * 60_000;

/** It would stay the newest, whatever is made. */
function warnOfFuture(run: Run, store: ConfiguredStore, { created_at }: Metadata): void {
  if (Date.parse(created_at) <= Date.now() + clockMarginMs) return;
  run.emit({
    type: 'warning',
    store: store.name,
    message: `its newest backup is of ${created_at}, which is in the future: the clock was wrong then, or is now`,
    hint: 'set the clock right; until then that one counts as the newest',
  });
}

/**
 * Backups of two instances under one name would be restored to the wrong one. A name that was discovered is refused; one
 * that is configured is what somebody meant, and only told.
 */
function refuseOtherInstance(
  run: Run,
  store: ConfiguredStore,
  before: Metadata['source'],
  now: Source,
): void {
  if (store.project !== undefined && before.compose_project !== now.compose_project) {
    const [was, is] = [before, now].map(({ compose_project: project, container = '' }) =>
      project === undefined ? `container "${container}"` : `project "${project}"`,
    );
    throw new PkbackupError(
      'ambiguous',
      `${store.name}: the repository has backups of ${was} under this name, and this is ${is}`,
      {
        hint: 'use a repository for each (--backup-dir), or give it a name of its own in pkbackup.yaml (pkbackup init)',
      },
    );
  }
  if (before.volume === undefined || now.volume === undefined || before.volume === now.volume) return;
  run.emit({
    type: 'warning',
    store: store.name,
    message: `its data is in volume "${now.volume}" now; the backup before is of volume "${before.volume}"`,
    hint: 'if these are different things, give one of them another name',
  });
}

function refuseEmpty(look: Look, store: ConfiguredStore, options: { allowEmpty?: boolean }): void {
  if (!look.isEmpty || store.allowEmpty || options.allowEmpty) return;
  const where =
    look.source.path ?? look.source.url ?? look.source.volume ?? look.source.container ?? store.name;
  throw new PkbackupError('backup_failed', `${store.name}: there is nothing to back up in "${where}"`, {
    hint: 'check that this is the right place; if it may be empty, say --allow-empty',
  });
}

/** What a backup of this store took the last time, per byte of content, says best what this one will take. */
async function warnOfLittleSpace(
  run: Run,
  store: ConfiguredStore,
  look: Look,
  last: Metadata | undefined,
  quiesce: Quiesce,
): Promise<void> {
  const free = await run.repository.freeBytes();
  if (free === undefined) return;
  const ratio = last?.raw_size_bytes ? last.size_bytes / last.raw_size_bytes : 1;
  const raw = look.estimatedBytes ?? last?.raw_size_bytes ?? 0;
  // While a store is held its bytes may have to wait for the compression.
  const needed = Math.ceil(raw * ratio) + (quiesce === 'none' ? 0 : raw);
  if (needed <= free) return;
  const text = `${store.name}: about ${needed} bytes are needed in the repository, ${free} are free`;
  if (last && last.size_bytes > free) {
    throw new PkbackupError('backup_failed', text, {
      hint: 'make room (pkbackup prune), or choose another repository with --backup-dir; nothing was held',
    });
  }
  run.emit({ type: 'warning', store: store.name, message: text });
}
