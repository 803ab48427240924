// pkbackup pin, unpin, undelete: single backups that prune is to keep, and those that it has put into the trash.
import { bringBack, pin } from '../operations/pin.ts';
import { backupFields } from '../reporters/backup-json.ts';
import { oneLine } from '../reporters/format.ts';
import { openRun } from './open-run.ts';
import type { Session } from './session.ts';

export interface PinFlags {
  readonly reason?: string;
}

export async function runPin(session: Session, backup: string, flags: PinFlags): Promise<number> {
  const pinned = await pin(await openRun(session, `pin ${backup}`), backup, flags.reason || true);
  session.answer({
    text: () => pinned.map(({ stem }) => `pinned ${oneLine(stem)}: prune keeps it`),
    json: () => ({ pinned: pinned.map(backupFields) }),
  });
  return 0;
}

export async function runUnpin(session: Session, backup: string): Promise<number> {
  const unpinned = await pin(await openRun(session, `unpin ${backup}`), backup, false);
  session.answer({
    text: () => unpinned.map(({ stem }) => `${oneLine(stem)} is pinned no more`),
    json: () => ({ unpinned: unpinned.map(backupFields) }),
  });
  return 0;
}

export async function runUndelete(session: Session, backup: string): Promise<number> {
  const broughtBack = await bringBack(await openRun(session, `undelete ${backup}`), backup);
  session.answer({
    text: () =>
      broughtBack.map(
        ({ stem }) =>
          `${oneLine(stem)} is back in the repository; pin it, or the next prune may take it again`,
      ),
    json: () => ({ brought_back: broughtBack.map(({ stem, metadata }) => ({ ...metadata, stem })) }),
  });
  return 0;
}
