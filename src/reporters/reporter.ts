// The reporters: events in, text out. They own cadence, width, colour and terminals, and are the only place beside
// the cli that writes to stdout and stderr. They know the results of operations as types, and do nothing themselves.
import type { Emit, Event } from '../events.ts';
import { eventLine, warningLines } from './event-lines.ts';
import { formatLogTime } from './format.ts';
import { LiveDisplay } from './live-display.ts';
import type { Paint } from './palette.ts';

/** Where a reporter writes to; a stream or, in tests, a list. */
export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

export interface Reporter {
  readonly emit: Emit;
  /**
   * Takes the display away, so that something else can be printed; nothing of it stays but what matters. The next event
   * brings it back.
   */
  hide(): void;
}

export type ReporterMode = 'live' | 'lines' | 'quiet' | 'events';

export interface ReporterOptions {
  readonly mode: ReporterMode;
  readonly isVerbose: boolean;
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly paint: Paint;
  /** Further listeners, such as the log file. */
  readonly also?: readonly Emit[];
}

export function createReporter(options: ReporterOptions): Reporter {
  const reporter = reporterOf(options);
  const { also = [] } = options;
  return {
    emit: (event) => {
      reporter.emit(event);
      for (const listener of also) listener(event);
    },
    hide: () => reporter.hide(),
  };
}

function reporterOf(options: ReporterOptions): Reporter {
  switch (options.mode) {
    case 'live':
      return new LiveDisplay(options);
    case 'lines':
      return plainLines(options);
    case 'quiet':
      return warningsOnly(options);
    case 'events':
      return eventsAsJson(options);
  }
}

function plainLines({ stderr }: ReporterOptions): Reporter {
  return {
    emit: (event) => {
      const line = eventLine(event);
      if (line !== undefined) stderr.write(`${formatLogTime(new Date())}  ${line}\n`);
    },
    hide: () => {},
  };
}

function warningsOnly({ stderr }: ReporterOptions): Reporter {
  return {
    emit: (event) => {
      if (event.type === 'warning') stderr.write(`${warningLines(event).join('\n')}\n`);
    },
    hide: () => {},
  };
}

/** One JSON object a line on stdout, as it happens; progress at most twice a second for each store and phase. */
function eventsAsJson({ stdout }: ReporterOptions): Reporter {
  const lastMs = new Map<string, number>();
  const isTooSoon = (event: Event, nowMs: number) => {
    if (event.type !== 'progress') return false;
    const key = `${event.store} ${event.phase}`;
    if (nowMs - (lastMs.get(key) ?? 0) < 500) return true;
    lastMs.set(key, nowMs);
    return false;
  };
  return {
    emit: (event) => {
      const now = new Date();
      if (!isTooSoon(event, now.getTime())) stdout.write(`${JSON.stringify(eventJson(event, now))}\n`);
    },
    hide: () => {},
  };
}

/** Keys in snake_case, as everywhere in our JSON; the time in UTC. */
export function eventJson(event: Event, time: Date): Record<string, unknown> {
  const entries = Object.entries(event).map(([key, value]) => {
    return [key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), value];
  });
  return { time: time.toISOString(), ...Object.fromEntries(entries) };
}
