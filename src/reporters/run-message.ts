// What came of a run, as a message to somebody who was not there: what failed first, then what works again, warnings, and
// the sum. Pure functions.
import type { Message, Reason } from '../notify/index.ts';
import type { Recovered } from '../operations/outcomes.ts';
import { version } from '../version.ts';
import { formatBytes, formatDuration, formatLocalTime, oneLine, plural, truncate } from './format.ts';

export interface RunReport {
  /** The command: `backup`, `verify` ... */
  readonly operation: string;
  readonly runId: string;
  readonly host: string;
  /** Undefined where the configuration could not be read. */
  readonly repository: string | undefined;
  readonly endedAt: Date;
  readonly durationMs: number;
  readonly exitCode: number;
  readonly setId?: string;
  /** The `before` hook asked for nothing to be done. */
  readonly isSkipped?: boolean;
  /** Of the run as a whole. */
  readonly error?: ReportedError;
  /** Stores, or backups where the command works on those. */
  readonly stores: readonly ReportedStore[];
  readonly recovered: readonly Recovered[];
  readonly warnings: readonly string[];
  readonly lastLines: readonly string[];
}

export interface ReportedError {
  readonly message: string;
  readonly hint?: string;
}

export interface ReportedStore {
  readonly store: string;
  readonly kind?: string;
  readonly isSkipped?: boolean;
  /** Missing where all is well. */
  readonly error?: ReportedError;
  readonly sizeBytes?: number;
  readonly durationMs?: number;
  readonly downtimeMs?: number;
}

const longestTitle = 150;
const mostNames = 5;
const mostGood = 20;

export function runMessage(report: RunReport): Message {
  const reasons = reasonsOf(report);
  const [outcome = 'success'] = reasons;
  return {
    operation: report.operation,
    outcome,
    reasons,
    title: truncate(oneLine(titleOf(report, outcome)), longestTitle),
    lines: linesOf(report).map(oneLine),
    lastLines: report.lastLines,
    facts: factsOf(report, outcome),
    runId: report.runId,
  };
}

/** A run begins; only health checks hear of it. */
export function startMessage(report: Pick<RunReport, 'operation' | 'runId' | 'host'>): Message {
  const { operation, runId, host } = report;
  const title = `${operation} begins on ${host}`;
  return { operation, outcome: 'started', reasons: [], title, lines: [], lastLines: [], facts: {}, runId };
}

export function testMessage({ host, runId }: Pick<RunReport, 'host' | 'runId'>): Message {
  const title = `test message of pkbackup on ${host}`;
  const lines = ['if you can read this, messages about backups arrive here'];
  const facts = { tool: 'pkbackup', version, operation: 'notify', outcome: 'test', host };
  return { operation: 'notify', outcome: 'test', reasons: [], title, lines, lastLines: [], facts, runId };
}

/** The first is the worst. */
function reasonsOf(report: RunReport): Reason[] {
  if (report.isSkipped) return ['skipped'];
  if (report.exitCode !== 0) return ['failure'];
  return [
    ...(report.recovered.length > 0 ? (['recovery'] as const) : []),
    ...(report.warnings.length > 0 ? (['warning'] as const) : []),
    'success',
  ];
}

function titleOf(report: RunReport, outcome: Reason): string {
  const { operation, host, stores, recovered, warnings } = report;
  const failed = stores.filter(({ error }) => error !== undefined);
  switch (outcome) {
    case 'failure': {
      const names =
        failed.length > 0 ? namesOf(failed) : (report.error?.message ?? `exit ${report.exitCode}`);
      return `${operation} failed on ${host}: ${names}`;
    }
    case 'recovery': {
      const names = recovered.flatMap(({ store }) => (store === undefined ? [] : [{ store }]));
      return `${operation} works again on ${host}${names.length > 0 ? `: ${namesOf(names)}` : ''}`;
    }
    case 'warning':
      return `${operation} done with ${plural(warnings.length, 'warning')} on ${host}: ${sumOf(report)}`;
    case 'skipped':
      return `${operation} skipped on ${host}`;
    case 'success':
      return `${operation} done on ${host}: ${sumOf(report)}`;
  }
}

function namesOf(stores: readonly { readonly store: string }[]): string {
  const names = [...new Set(stores.map(({ store }) => store))];
  const more = names.length - mostNames;
  return `${names.slice(0, mostNames).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function sumOf({ operation, stores, durationMs }: RunReport): string {
  const good = stores.filter(({ error, isSkipped }) => error === undefined && !isSkipped);
  const bytes = good.reduce((sum, { sizeBytes = 0 }) => sum + sizeBytes, 0);
  const what = operation === 'backup' ? 'store' : 'backup';
  const size = bytes === 0 ? '' : `, ${formatBytes(bytes)}`;
  const count =
    good.length === stores.length
      ? plural(good.length, what)
      : `${good.length} of ${plural(stores.length, what)}`;
  return `${count}${size} in ${formatDuration(durationMs)}`;
}

function linesOf(report: RunReport): string[] {
  const { stores, error, recovered, warnings } = report;
  const good = stores.filter((store) => store.error === undefined);
  const more = good.length - mostGood;
  return [
    ...errorLines('', error),
    ...stores.flatMap((store) => errorLines(store.store, store.error)),
    ...recovered.map(recoveredLine),
    ...warnings.map((warning) => `warning: ${warning}`),
    ...good.slice(0, mostGood).map(goodLine),
    ...(more > 0 ? [`and ${more} more`] : []),
    closingLine(report),
  ];
}

function errorLines(store: string, error: ReportedError | undefined): string[] {
  if (error === undefined) return [];
  const { message, hint } = error;
  const about = store === '' || message.startsWith(`${store}: `) ? message : `${store}: ${message}`;
  return [...about.split('\n'), ...(hint === undefined ? [] : [`hint: ${hint}`])];
}

function recoveredLine({ store, failedSince }: Recovered): string {
  const since = `failed since ${formatLocalTime(failedSince)}`;
  return store === undefined ? `works again (${since})` : `${store} works again (${since})`;
}

function goodLine({ store, isSkipped, sizeBytes, durationMs, downtimeMs }: ReportedStore): string {
  if (isSkipped) return `${store}: skipped`;
  const facts = [
    sizeBytes === undefined ? '' : formatBytes(sizeBytes),
    durationMs === undefined ? '' : formatDuration(durationMs),
    downtimeMs ? `held ${formatDuration(downtimeMs)}` : '',
  ].filter(Boolean);
  return `${store}: ${facts.length === 0 ? 'good' : facts.join(', ')}`;
}

function closingLine(report: RunReport): string {
  const { stores, exitCode, setId, repository } = report;
  return [
    stores.length === 0 ? '' : sumOf(report),
    exitCode === 0 ? '' : `exit ${exitCode}`,
    setId === undefined ? '' : `set ${setId}`,
    repository === undefined ? '' : `repository ${repository}`,
    `pkbackup ${version}`,
  ]
    .filter(Boolean)
    .join(' · ');
}

/** What `kind: json` sends, and what its templates are filled from. Keys in snake_case, times in UTC, sizes exact. */
function factsOf(report: RunReport, outcome: Reason): Record<string, unknown> {
  const { stores, error, recovered } = report;
  const failed = stores.filter((store) => store.error !== undefined);
  return {
    tool: 'pkbackup',
    version,
    operation: report.operation,
    outcome,
    host: report.host,
    time: report.endedAt.toISOString(),
    exit_code: report.exitCode,
    duration_ms: report.durationMs,
    repository: report.repository ?? null,
    set_id: report.setId ?? null,
    error: error?.message ?? failed[0]?.error?.message ?? null,
    stores: stores.map((store) => ({
      store: store.store,
      kind: store.kind,
      ok: store.error === undefined,
      skipped: store.isSkipped,
      error: store.error?.message,
      hint: store.error?.hint,
      size_bytes: store.sizeBytes,
      duration_ms: store.durationMs,
      downtime_ms: store.downtimeMs,
    })),
    failed_stores: failed.map(({ store }) => store),
    recovered: recovered.map(({ store, failedSince }) => ({
      store: store ?? null,
      failed_since: failedSince.toISOString(),
    })),
    warnings: report.warnings,
  };
}
