// What pkbackup status knows, as Prometheus reads it: the text format, names with base units, one label for each thing that
// there are several of. Ages are moments, so that they are right whenever they are looked at. Pure.
import type { StatusResult } from '../operations/status.ts';
import { version } from '../version.ts';

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number | undefined];

interface Family {
  readonly name: string;
  readonly type: 'gauge' | 'counter';
  readonly help: string;
  /** Those without a value are left out. */
  readonly samples: readonly Sample[];
}

/** `repository` stands on every line: a machine may have several, each with a file of its own. */
export function metricsText(result: StatusResult): string {
  const { directory } = result.repository;
  const families = [...storeFamilies(result), ...repositoryFamilies(result), ...runFamilies(result)];
  return families.map((family) => familyText(family, { repository: directory })).join('');
}

function storeFamilies({ stores }: StatusResult): Family[] {
  const each = (
    name: string,
    help: string,
    value: (store: (typeof stores)[number]) => number | undefined,
    type: Family['type'] = 'gauge',
  ): Family => ({
    name: `pkbackup_${name}`,
    type,
    help,
    samples: stores.map((store) => [{ store: store.store }, value(store)]),
  });
  return [
    {
      name: 'pkbackup_store_info',
      type: 'gauge',
      help: 'A store that is known, and of which kind it is.',
      samples: stores.map(({ store, kind }) => [{ store, kind: kind ?? 'unknown' }, 1]),
    },
    each('store_healthy', 'Whether all is as it should be with the store.', ({ ok }) => Number(ok)),
    {
      name: 'pkbackup_store_problem',
      type: 'gauge',
      help: 'What is not as it should be, as pkbackup status names it.',
      samples: stores.flatMap(({ store, problems }) => {
        return problems.map(({ reason }): Sample => [{ store, reason }, 1]);
      }),
    },
    each(
      'backups',
      'Backups of the store, without those that restores have taken.',
      (store) => store.backupCount,
    ),
    each('last_backup_timestamp_seconds', 'The moment that the newest good backup shows.', ({ newestGood }) =>
      seconds(newestGood?.createdAt),
    ),
    each('last_success_timestamp_seconds', 'When a backup was made well the last time.', (store) =>
      seconds(store.lastRun?.ok ? store.lastRun.at : store.newestGood?.createdAt),
    ),
    each('next_backup_timestamp_seconds', 'When the next backup is due.', ({ dueAt }) => seconds(dueAt)),
    each('backup_size_bytes', 'Length of the archive of the newest good backup.', (store) => {
      return store.newestGood?.metadata.size_bytes;
    }),
    each('backup_raw_size_bytes', 'What it takes without compression.', (store) => {
      return store.newestGood?.metadata.raw_size_bytes;
    }),
    each('backup_duration_seconds', 'How long it took.', (store) => {
      return inSeconds(store.newestGood?.metadata.duration_ms);
    }),
    each('backup_downtime_seconds', 'How long the store was held for it.', (store) => {
      return inSeconds(store.newestGood?.metadata.downtime_ms);
    }),
    each(
      'backup_failures_total',
      'Backup runs that failed for the store.',
      ({ lastRun }) => lastRun?.failuresTotal,
      'counter',
    ),
    each('last_verify_timestamp_seconds', 'When a backup of the store was proved the last time.', (store) =>
      seconds(store.verified?.at),
    ),
    each('last_drill_timestamp_seconds', 'When a backup of the store was restored in a drill.', (store) =>
      seconds(store.drilled?.at),
    ),
    each('last_drill_recovery_seconds', 'How long that took, until the restored store served.', (store) =>
      inSeconds(store.drilled?.recoveryMs),
    ),
  ];
}

function repositoryFamilies({ repository }: StatusResult): Family[] {
  const one = (name: string, help: string, value: number | undefined): Family => ({
    name: `pkbackup_repository_${name}`,
    type: 'gauge',
    help,
    samples: [[{}, value]],
  });
  const { space, fullAt } = repository;
  return [
    one('healthy', 'Whether all is as it should be with the repository.', Number(repository.ok)),
    {
      name: 'pkbackup_repository_problem',
      type: 'gauge',
      help: 'What is not as it should be, as pkbackup status names it.',
      samples: [...new Set(repository.problems.map(({ reason }) => reason))].map((reason) => [{ reason }, 1]),
    },
    one('size_bytes', 'Length of all archives.', repository.backupBytes),
    one('trash_size_bytes', 'Length of what was pruned and is not yet removed.', repository.trashBytes),
    one('free_bytes', 'Free room on the disk.', space?.freeBytes),
    one('used_ratio', 'How full the disk is, from 0 to 1.', space && space.usedPercent / 100),
    one('full_timestamp_seconds', 'When the disk is full, at the rate of the last days.', seconds(fullAt)),
  ];
}

function runFamilies({ repository: { lastRuns }, at }: StatusResult): Family[] {
  const runs = [...lastRuns];
  return [
    {
      name: 'pkbackup_last_run_timestamp_seconds',
      type: 'gauge',
      help: 'When the command ended the last time.',
      samples: runs.map(([command, outcome]) => [{ command }, seconds(new Date(outcome.at))]),
    },
    {
      name: 'pkbackup_last_run_success',
      type: 'gauge',
      help: 'Whether the command as a whole came to its end then.',
      samples: runs.map(([command, { ok }]) => [{ command }, Number(ok)]),
    },
    {
      name: 'pkbackup_run_failures_total',
      type: 'counter',
      help: 'Runs of the command that failed as a whole.',
      samples: runs.map(([command, outcome]) => [{ command }, outcome.failures_total]),
    },
    {
      name: 'pkbackup_status_timestamp_seconds',
      type: 'gauge',
      help: 'When all this was looked at.',
      samples: [[{}, seconds(at)]],
    },
    {
      name: 'pkbackup_build_info',
      type: 'gauge',
      help: 'The version of pkbackup that did.',
      samples: [[{ version }, 1]],
    },
  ];
}

const seconds = (time: Date | undefined) => inSeconds(time?.getTime());
const inSeconds = (ms: number | undefined) => (ms === undefined ? undefined : ms / 1000);

function familyText({ name, type, help, samples }: Family, common: Labels): string {
  const lines = samples.flatMap(([labels, value]) => {
    return value === undefined ? [] : `${name}${labelsText({ ...common, ...labels })} ${value}\n`;
  });
  if (lines.length === 0) return '';
  const escaped = help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
  return `# HELP ${name} ${escaped}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}

function labelsText(labels: Labels): string {
  const all = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return `{${all.join(',')}}`;
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
