// pkbackup drill: which backups, under which image, with which checks of one's own; the exit code says the worst.
import { errorCatalogue, exitCodeOf, PkbackupError } from '../errors.ts';
import type { StoreResult } from '../operations/backup.ts';
import {
  type DrilledBackup,
  type DrillResult,
  type DrillSettings,
  drill,
  drillBackups,
  type ExpectedMin,
} from '../operations/drill.ts';
import type { Run } from '../operations/run.ts';
import { drillJson, drillText } from '../reporters/drill-result.ts';
import type { TextLook } from '../reporters/text-look.ts';
import { type Announcement, announced, type Summary } from './announce.ts';
import { unfoldCheckCommand } from './check-command.ts';
import { openRun } from './open-run.ts';
import type { Session } from './session.ts';
import { wholeNumber } from './values.ts';

export interface DrillFlags {
  readonly image?: string;
  readonly expectedMin?: readonly string[];
  readonly check?: readonly string[];
}

export async function runDrill(
  session: Session,
  backups: readonly string[],
  flags: DrillFlags,
): Promise<number> {
  const settings = drillSettings(flags);
  if (settings.image !== undefined && backups.length !== 1) {
    throw new PkbackupError(
      'usage',
      '--image is of one kind of server: name the backup or the store to drill under it',
    );
  }
  return announced(session, 'drill', (announcement) => drillAll(session, backups, settings, announcement));
}

async function drillAll(
  session: Session,
  backups: readonly string[],
  settings: Omit<DrillSettings, 'stores'>,
  announcement: Announcement,
): Promise<Summary> {
  const { stores } = await session.settings();
  announcement.begin();
  const run = await openRun(session, ['drill', ...backups].join(' '));
  const result = await drill(run, { ...settings, stores, backups });
  if (result.drills.length === 0) {
    throw new PkbackupError('not_found', 'there is no backup to drill', {
      hint: 'make the first with: pkbackup backup',
    });
  }
  session.answer({
    text: (look) => drillText(result, look),
    json: () => drillJson(result),
    isAsked: !result.ok || settings.image !== undefined,
  });
  tellFailures(session, result);
  return {
    exitCode: exitCodeOfDrills(result),
    stores: result.drills.map((one) => ({
      store: one.backup.stem,
      kind: one.backup.metadata.kind,
      ...(one.ok ? {} : { error: { message: reasonOf(one) } }),
    })),
  };
}

/** What the flags say; throws `usage` before anything else happens. */
function drillSettings({ image, expectedMin = [], check }: DrillFlags): Omit<DrillSettings, 'stores'> {
  return {
    ...(image !== undefined && { image }),
    expectedMin: expectedMin.map(expectedOf),
    ...(check !== undefined && { check: unfoldCheckCommand(check) }),
  };
}

function expectedOf(text: string): ExpectedMin {
  const [, name, least = ''] = /^(?:([^=]+)=)?(.*)$/s.exec(text) ?? [];
  return {
    least: wholeNumber('--expected-min', least, 0, Number.MAX_SAFE_INTEGER),
    ...(name !== undefined && { name }),
  };
}

export interface DrilledAfterwards {
  readonly exitCode: number;
  /** What went wrong, for messages; undefined where nothing did. */
  readonly error: PkbackupError | undefined;
  text(look: TextLook): string[];
  json(): Record<string, unknown>;
  tellFailures(): void;
}

/** What was just backed up; undefined where nothing was. */
export async function drillAfterBackup(
  session: Session,
  run: Run,
  results: readonly StoreResult[],
): Promise<DrilledAfterwards | undefined> {
  const made = results.flatMap((store) => (store.ok && store.backup ? [store.backup] : []));
  if (made.length === 0) return undefined;
  const result = await drillBackups(run, made, { stores: results.map(({ store }) => store) });
  return {
    exitCode: exitCodeOfDrills(result),
    error: errorOfDrills(result),
    text: (look) => drillText(result, look),
    json: () => drillJson(result),
    tellFailures: () => tellFailures(session, result),
  };
}

/** Drills that could not be done; what the others found is the answer. */
function tellFailures(session: Session, { drills }: DrillResult): void {
  for (const { backup, error } of drills) {
    if (!error) continue;
    const { code, message, hint } = error;
    session.tellError(
      new PkbackupError(
        code,
        `${backup.store}: the drill of "${backup.stem}" could not be done: ${message}`,
        {
          cause: error,
          ...(hint !== undefined && { hint }),
        },
      ),
    );
  }
}

function errorOfDrills({ drills }: DrillResult): PkbackupError | undefined {
  const wrong = drills.filter(({ ok }) => !ok);
  if (wrong.length === 0) return undefined;
  const lines = wrong.map((one) => `the drill of "${one.backup.stem}" was not passed: ${reasonOf(one)}`);
  return new PkbackupError('damaged', lines.join('\n'));
}

function reasonOf(drilled: DrilledBackup): string {
  return drilled.error ? drilled.error.message : (drilled.findings[0] ?? 'no reason was found');
}

/** Damage is worse than a drill that could not be done. */
function exitCodeOfDrills({ ok, drills }: DrillResult): number {
  if (ok) return 0;
  const isDamaged = drills.some((one) => !one.ok && one.error === undefined);
  if (isDamaged) return errorCatalogue.damaged.exitCode;
  const codes = new Set(drills.flatMap(({ error }) => (error ? [exitCodeOf(error)] : [])));
  const [only] = codes;
  return codes.size === 1 && only !== undefined ? only : errorCatalogue.failed.exitCode;
}
