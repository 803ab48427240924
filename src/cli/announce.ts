// What surrounds a command that people want to hear of: a ping when it begins, what came of it written down, and messages when
// it has ended. Nothing of that changes its exit code: what fails here is a warning.
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import process from 'node:process';
import type { Settings } from '../config/index.ts';
import { exitCodeOf, messageOf, PkbackupError } from '../errors.ts';
import type { Event } from '../events.ts';
import type { Message, Target } from '../notify/index.ts';
import { type OutcomesOfRun, type Recovered, recordOutcomes } from '../operations/outcomes.ts';
import { eventLine, warningText } from '../reporters/event-lines.ts';
import { formatLogTime } from '../reporters/format.ts';
import type { ReportedError, ReportedStore, RunReport } from '../reporters/run-message.ts';
import { openRepository } from '../repository/index.ts';
import type { Session } from './session.ts';

/** What a command says of itself when it has ended. */
export interface Summary {
  readonly exitCode: number;
  readonly setId?: string;
  readonly isSkipped?: boolean;
  /** Of the run as a whole, beside what went wrong with stores. */
  readonly error?: PkbackupError | undefined;
  readonly stores: readonly ReportedStore[];
}

export interface Announcement {
  /** The work begins. Does not wait for those who are told. */
  begin(): void;
  /** Writes down what came of it, while the repository is there; once. */
  settle(summary: Summary): Promise<void>;
}

/** Runs `work`, and tells those who want to know. Wrong usage is for the one who typed it. */
export async function announced(
  session: Session,
  operation: string,
  work: (announcement: Announcement) => Promise<Summary>,
): Promise<number> {
  const run = new AnnouncedRun(session, operation);
  await run.open();
  try {
    const summary = await work(run);
    await run.settle(summary);
    await run.measure();
    await run.tell(summary);
    return summary.exitCode;
  } catch (error) {
    const isForTyper = error instanceof PkbackupError && ['usage', 'cancelled'].includes(error.code);
    if (!isForTyper) {
      const summary = failureOf(error);
      await run.settle(summary);
      await run.measure();
      await run.tell(summary);
    }
    throw error;
  }
}

const keptLines = 40;
const startDelivery = { deadlineMs: 5000, attemptMs: 5000, waitsMs: [] };
/** Whoever interrupted it does not wait half a minute. */
const afterAbort = { deadlineMs: 5000, attemptMs: 5000, waitsMs: [] };

class AnnouncedRun implements Announcement {
  readonly #session: Session;
  readonly #operation: string;
  readonly #runId = randomUUID();
  readonly #startedMs = Date.now();
  readonly #lastLines: string[] = [];
  readonly #warnings: string[] = [];
  #settings: Settings | undefined;
  #environment: Settings['environment'] = process.env;
  #targets: readonly Target[] = [];
  #started: Promise<void> | undefined;
  #settled: Promise<Recovered[]> | undefined;

  constructor(session: Session, operation: string) {
    this.#session = session;
    this.#operation = operation;
  }

  /** Where the settings cannot be read, the environment alone says who is told of that. */
  async open(): Promise<void> {
    this.#session.listen((event) => this.#follow(event));
    try {
      this.#settings = await this.#session.settings();
      this.#environment = this.#settings.environment;
    } catch {
      // The work will say it.
    }
    const { targets, problems } = await targetsFor(this.#settings, this.#environment);
    this.#targets = targets.filter(({ operations }) => operations.includes(this.#operation));
    for (const problem of problems) this.#session.emit({ type: 'warning', message: problem });
    if (this.#targets.length === 0) return;
    const { problemOf } = await import('../notify/index.ts');
    for (const target of this.#targets) {
      const problem = await problemOf(target, this.#environment);
      if (problem !== undefined) this.#warn(`messages to "${target.name}" will not arrive: ${problem}`);
    }
  }

  begin(): void {
    if (!this.#targets.some(({ kind }) => kind === 'healthcheck')) return;
    this.#started = import('../reporters/run-message.ts').then(({ startMessage }) => {
      const message = startMessage({ operation: this.#operation, runId: this.#runId, host: hostname() });
      return this.#send(message, startDelivery);
    });
  }

  async settle(summary: Summary): Promise<void> {
    this.#settled ??= this.#settle(summary);
    await this.#settled;
  }

  async #settle(summary: Summary): Promise<Recovered[]> {
    if (!this.#settings || summary.isSkipped) return [];
    const repository = openRepository(this.#settings.repository);
    const { emit } = this.#session;
    return recordOutcomes({ repository, emit }, outcomesOf(this.#operation, summary));
  }

  /** Never throws. */
  async measure(): Promise<void> {
    if (this.#settings?.config?.metricsFile === undefined) return;
    const { writeMetricsFile } = await import('./metrics.ts');
    await writeMetricsFile(this.#session, this.#settings);
  }

  /** Never throws. */
  async tell(summary: Summary): Promise<void> {
    if (this.#targets.length === 0) return;
    const { runMessage } = await import('../reporters/run-message.ts');
    const message = runMessage(await this.#report(summary));
    await this.#started;
    await this.#send(message, this.#session.signal.aborted ? afterAbort : undefined);
  }

  async #report(summary: Summary): Promise<RunReport> {
    const { exitCode, setId, isSkipped, error, stores } = summary;
    return {
      operation: this.#operation,
      runId: this.#runId,
      host: hostname(),
      repository: this.#settings?.repository,
      endedAt: new Date(),
      durationMs: Date.now() - this.#startedMs,
      exitCode,
      ...(setId !== undefined && { setId }),
      ...(isSkipped !== undefined && { isSkipped }),
      ...(error && { error: reportedError(error) }),
      stores,
      recovered: (await this.#settled) ?? [],
      warnings: this.#warnings,
      lastLines: this.#lastLines,
    };
  }

  async #send(message: Message, delivery?: typeof startDelivery): Promise<void> {
    const { notify } = await import('../notify/index.ts');
    const options = { environment: this.#environment, ...(delivery && { delivery }) };
    for (const { target, error } of await notify(this.#targets, message, options)) {
      if (error !== undefined) this.#warn(`the message to "${target.name}" did not arrive: ${error}`);
    }
  }

  #warn(message: string): void {
    this.#session.emit({ type: 'warning', message, hint: 'pkbackup notify --test tries it' });
  }

  #follow(event: Event): void {
    if (event.type === 'warning') this.#warnings.push(warningText(event));
    const line = eventLine(event);
    if (line === undefined) return;
    this.#lastLines.push(`${formatLogTime(new Date()).slice(11)}  ${line}`);
    if (this.#lastLines.length > keptLines) this.#lastLines.shift();
  }
}

/** Those of the config file, and those of the replaced scripts' variables. */
export async function targetsFor(
  settings: Pick<Settings, 'config'> | undefined,
  environment: Settings['environment'],
): Promise<{ targets: readonly Target[]; problems: readonly string[] }> {
  const configured = settings?.config?.notify ?? [];
  if (!environment.BACKUP_EMAIL && !environment.BACKUP_WEBHOOK) return { targets: configured, problems: [] };
  const { targetsOfEnvironment } = await import('../config/notify.ts');
  const { targets, problems } = targetsOfEnvironment(environment, configured);
  return { targets: [...configured, ...targets], problems };
}

function failureOf(error: unknown): Summary {
  const known = error instanceof PkbackupError ? error : new PkbackupError('failed', messageOf(error));
  return { exitCode: exitCodeOf(error), error: known, stores: [] };
}

export function reportedError({ message, hint }: PkbackupError): ReportedError {
  return { message, ...(hint !== undefined && { hint }) };
}

/** A backup has an outcome for each store; of other commands only the whole counts. */
function outcomesOf(operation: string, { exitCode, error, stores }: Summary): OutcomesOfRun {
  const isOfStores = operation === 'backup';
  const whole = {
    ok: isOfStores ? error === undefined : exitCode === 0,
    ...(error && { error: error.message }),
  };
  const reached = isOfStores ? stores.filter(({ isSkipped }) => !isSkipped) : [];
  return {
    operation,
    whole,
    stores: new Map(
      reached.map(({ store, error: ofStore, durationMs }) => [
        store,
        {
          ok: ofStore === undefined,
          ...(ofStore && { error: ofStore.message }),
          ...(durationMs !== undefined && { durationMs }),
        },
      ]),
    ),
  };
}
