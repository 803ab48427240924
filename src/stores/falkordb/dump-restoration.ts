// The steps of restoring a dump, over those of the place that it goes to: a volume, or a directory of this host. A server
// that runs is saved and frozen at the end of `stage`: what the swap sets aside is all of its data.
import { z } from 'zod';
import { PkbackupError } from '../../errors.ts';
import type { Counts } from '../../words.ts';
import type {
  BackupFacts,
  Content,
  Restoration,
  RestorePlan,
  RestoreState,
  ResumedRestore,
} from '../store.ts';
import type { DumpWatch } from './dump.ts';
import type { RdbFacts } from './rdb.ts';
import { type FalkordbServer, saveAndFreeze, thaw, type Versions } from './server.ts';
import { previousDump } from './staged-dump.ts';
import { refuseNewer } from './versions.ts';

export interface DumpRestore {
  readonly base: Omit<Restoration, 'check'>;
  readonly plan: RestorePlan;
  /** Beside what the base makes. */
  readonly ownState: RestoreState;
  readonly backup: BackupFacts;
  /** How the server calls its dump. */
  readonly dump: string;
  /** The server, where it answers. */
  readonly running: { readonly server: FalkordbServer; readonly versions: Versions } | undefined;
  /** What is staged; each call of `tar` begins anew. */
  staged(content: Content, watch: DumpWatch): Promise<Content>;
  /** Called before the server saves; what it gives is called when all is in the dump, and nobody writes. */
  watchSave?(): Promise<() => Promise<void>>;
  check(dump: RdbFacts | undefined): Promise<Counts>;
}

export function restorationOf(parts: DumpRestore): Restoration {
  const { base, plan, ownState, backup, dump, running } = parts;
  let watch: DumpWatch = {};
  let isSaved = false;
  return {
    plan,

    get state() {
      return { ...base.state, ...ownState, replaces: plan.replaces, ...(isSaved ? { dump } : {}) };
    },

    async stage(content) {
      watch = {};
      await base.stage(await parts.staged(content, watch));
      const { facts } = watch;
      const finding = facts?.findings[0];
      if (finding !== undefined)
        throw new PkbackupError('bad_backup', `the dump in the backup is not whole: ${finding}`);
      if (!running) return;
      if (facts) refuseNewer(facts, running.versions, backup.storeVersion);
      const onSaved = await parts.watchSave?.();
      await saveAndFreeze(running.server);
      isSaved = true;
      await onSaved?.();
    },

    swap: () => base.swap(),
    check: () => parts.check(watch.facts),

    async rollback() {
      if (isSaved && running) await thaw(running.server).catch(() => undefined);
      await base.rollback();
    },

    async previous() {
      const whole = plan.replaces ? await base.previous() : undefined;
      return isSaved ? previousDump(whole, dump) : whole;
    },

    discard: () => base.discard(),
  };
}

/** The server that `stage` freezes: the id of a container, or an address. */
export const serverSchema = z.object({ server: z.string().optional() });

const savedSchema = z.object({
  /** Saved by `stage`, so that it is all of the previous data. */
  dump: z.string().optional(),
});

/** The process that is dead may have left the server frozen: for a minute, or until its end. */
export function resumedOf(
  base: ResumedRestore,
  state: RestoreState,
  thawIt: () => Promise<void>,
): ResumedRestore {
  const { dump } = savedSchema.parse(state);
  return {
    plan: base.plan,
    state,
    async rollback() {
      await thawIt();
      await base.rollback();
    },
    async previous() {
      const whole = await base.previous();
      return dump === undefined ? whole : previousDump(whole, dump);
    },
    discard: () => base.discard(),
  };
}
