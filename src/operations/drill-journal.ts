// The journal of a drill: written before it first speaks with Docker, removed when nothing of it is left there. So the next
// command knows what to look for after a crash, and asks Docker only then.
import { randomBytes } from 'node:crypto';
import { messageOf, PkbackupError } from '../errors.ts';
import { asOwner, isAlive, thisProcess } from '../owner.ts';
import { type Backup, type DrillRecord, journalNameOf } from '../repository/index.ts';
import type { RecoveredThing } from './recover.ts';
import type { Run } from './run.ts';

const suffix = '.drill.json';

export interface DrillJournal {
  /** By which all that is made in Docker is found. */
  readonly id: string;
  /** For everything that the drill does. */
  readonly docker: Run['docker'];
  /** Nothing is left. */
  end(): Promise<void>;
}

export function beginDrillJournal(run: Run, { store, stem }: Backup): DrillJournal {
  const id = randomBytes(4).toString('hex');
  const name = journalNameOf(store, new Date(), id, suffix);
  const record: DrillRecord = { type: 'pkbackup-drill', version: 1, owner: { ...thisProcess() }, stem, id };
  let noted: Promise<void> | undefined;
  const note = async () => {
    try {
      await run.repository.journal.write(name, JSON.stringify(record));
    } catch (error) {
      const message = `the journal of the drill could not be written: ${messageOf(error)}`;
      const hint = 'should pkbackup be killed now, pkbackup recover removes what is left in Docker';
      run.emit({ type: 'warning', store, message, hint });
    }
  };
  return {
    id,
    async docker() {
      noted ??= note();
      await noted;
      return run.docker();
    },
    async end() {
      if (noted !== undefined) await run.repository.journal.remove(name).catch(() => undefined);
    },
  };
}

/** Removes what drills of dead processes have left in Docker, their helper containers too. */
export async function recoverDrills(run: Run, options: { dryRun: boolean }): Promise<RecoveredThing[]> {
  const done: RecoveredThing[] = [];
  for (const { name, text } of await run.repository.journal.read(suffix)) {
    const { parseDrillRecord } = await import('../repository/drill-record.ts');
    const record = parseDrillRecord(text);
    if (record && isAlive(asOwner(record.owner))) continue;
    if (!record) throw new PkbackupError('failed', `the journal "${name}" of a drill cannot be read`);
    const what = `what the drill of "${record.stem}" that was broken off has left in Docker`;
    if (options.dryRun) {
      done.push({ ok: true, message: `would remove ${what}` });
      continue;
    }
    const docker = await run.docker();
    const { recoverHelpers } = await import('../quiesce/index.ts');
    await docker.clearThrowaway(record.id);
    for (const { message, ok } of await recoverHelpers(docker)) done.push({ message, ok });
    await run.repository.journal.remove(name);
    done.push({ ok: true, message: `removed ${what}` });
  }
  return done;
}
