// A backup is proved before anything of it takes the place of what is there. Its checksum first, before anything is touched:
// a file that hashes to what was recorded is, to the byte, the one that was written. The rest is proved in the same reading
// that stages it, where that can see it all; else before, in a reading of its own.
import type { Backup } from '../repository/index.ts';
import { storeOf } from '../stores/index.ts';
import type { Restoration } from '../stores/store.ts';
import { ArchiveProof, type Shown } from './archive-proof.ts';
import { NotGood } from './find-backup.ts';
import { contentOf, type Inspection, inspectArchive, inspectProof, watchFor } from './inspect-archive.ts';
import type { Run } from './run.ts';

export interface Proven {
  /** Throws `NotGood` where the archive is no good backup, and what it was staged in is to be undone. */
  readonly stage: (restoration: Pick<Restoration, 'stage'>) => Promise<void>;
}

/**
 * What is looked at meanwhile, or with what the archive shows of itself, touches nothing. Throws `NotGood` whatever the look
 * has found.
 */
export async function proveAndLook<Seen>(
  run: Run,
  backup: Backup,
  look: (shown?: Shown) => Promise<Seen>,
): Promise<{ proven: Proven; seen: Seen }> {
  if (!isSealed(backup)) {
    const { shown } = refuseFindings(run, backup, await inspectArchive(run, backup, 'content'));
    tell(run, backup, 'checksum, archive and content are good');
    const stage: Proven['stage'] = (restoration) => restoration.stage(contentOf(run, backup));
    return { proven: { stage }, seen: await look(shown) };
  }
  const [inspected, looked] = await Promise.allSettled([inspectArchive(run, backup, 'checksum'), look()]);
  refuseFindings(run, backup, settled(inspected));
  tell(run, backup, 'the checksum is good; archive and content are proved while they are staged');
  const stage: Proven['stage'] = (restoration) => stageProving(run, backup, restoration);
  return { proven: { stage }, seen: settled(looked) };
}

function settled<Value>(result: PromiseSettledResult<Value>): Value {
  if (result.status === 'rejected') throw result.reason;
  return result.value;
}

async function stageProving(
  run: Run,
  backup: Backup,
  restoration: Pick<Restoration, 'stage'>,
): Promise<void> {
  const proof = new ArchiveProof(run, backup, { watch: watchFor(backup), isStaged: true });
  try {
    await restoration.stage(proof);
  } catch (error) {
    if (proof.refusal) throw refused(backup, [proof.refusal.message]);
    // What the archive is makes it fail, rather than the other way round.
    if (proof.isRead) refuseFindings(run, backup, await inspectProof(run, backup, proof));
    throw error;
  }
  refuseFindings(run, backup, await inspectProof(run, backup, proof));
  tell(run, backup, 'archive and content are good');
}

/** Written by pkbackup, which recorded all of it, and of a kind whose content is looked at as it flows by. */
function isSealed({ metadata }: Backup): boolean {
  const { kind, form, sha256, entries, raw_size_bytes: rawSizeBytes } = metadata;
  const isRecorded = Boolean(sha256) && entries !== undefined && rawSizeBytes !== undefined;
  return form === undefined && isRecorded && storeOf(kind).watch !== undefined;
}

function refuseFindings(run: Run, backup: Backup, inspection: Inspection): Inspection {
  const { findings, notChecked } = inspection;
  for (const message of notChecked) run.emit({ type: 'warning', store: backup.store, message });
  if (findings.length === 0) return inspection;
  throw refused(backup, findings);
}

function refused({ stem, store }: Backup, findings: readonly string[]): NotGood {
  return new NotGood(stem, findings, `nothing was touched; pkbackup list ${store} shows what else there is`);
}

function tell(run: Run, { store }: Backup, message: string): void {
  run.emit({ type: 'step', store, message });
}
