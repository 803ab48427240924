// The log file: every event but progress as one JSON line by pino, beside whatever else is shown.
import { pino } from 'pino';
import { asPkbackupError, messageOf } from '../errors.ts';
import type { Event } from '../events.ts';
import { eventJson } from './reporter.ts';

export interface LogFile {
  emit(event: Event): void;
  error(error: unknown): void;
  close(): void;
}

/**
 * Appends to `path`, synchronously, so that the last line is there whatever ends the program. Throws `usage` where the
 * file cannot be opened; a line that is lost later is said once through `onLost`, and is no reason to end a backup.
 */
export function openLogFile(path: string, onLost: (message: string) => void): LogFile {
  const destination = openDestination(path);
  let isLost = false;
  destination.on('error', (error: unknown) => {
    if (!isLost) onLost(`the log file "${path}" cannot be written: ${messageOf(error)}`);
    isLost = true;
  });
  const log = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
  return {
    emit: (event) => {
      if (event.type === 'progress') return;
      const { time: _, ...fields } = eventJson(event, new Date());
      log[levelOf(event)](fields);
    },
    error: (error) => log.error(error),
    close: () => destination.end(),
  };
}

function openDestination(path: string) {
  try {
    return pino.destination({ dest: path, append: true, sync: true, mkdir: true });
  } catch (error) {
    throw asPkbackupError(error, 'usage', `cannot write the log file "${path}"`);
  }
}

function levelOf(event: Event): 'info' | 'warn' | 'error' {
  if (event.type === 'warning') return 'warn';
  return event.type === 'ended' && !event.ok ? 'error' : 'info';
}
