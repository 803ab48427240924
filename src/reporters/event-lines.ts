// Events as plain lines, one for each that matters; what a cron mail or a log of CI shows. Pure functions.
import type { Event } from '../events.ts';
import { redactSecrets } from '../secret.ts';
import { formatDuration, oneLine } from './format.ts';

/** The text of an event, or undefined where a line would only be noise. */
export function eventText(event: Event): string | undefined {
  switch (event.type) {
    case 'started':
      return `${event.operation} of ${event.kind} begins${event.backup === undefined ? '' : ` (${event.backup})`}`;
    case 'progress':
      return undefined;
    case 'step':
      return event.message;
    case 'held':
      return `${event.quiesce === 'pause' ? 'paused' : 'stopped'} ${event.containers.join(', ')}`;
    case 'released':
      return `runs again: ${event.containers.join(', ')} (down ${formatDuration(event.downtimeMs)})`;
    case 'warning':
      return `warning: ${event.message}${event.hint === undefined ? '' : ` (${event.hint})`}`;
    case 'ended':
      return event.ok
        ? `done${event.message ? `: ${event.message}` : ''}`
        : `failed: ${event.message ?? 'see below'}`;
  }
}

/** `store: text`, in one line. */
export function eventLine(event: Event): string | undefined {
  const text = eventText(event);
  if (text === undefined) return undefined;
  return oneLine(event.store === undefined ? text : `${event.store}: ${text}`);
}

/** What comes from elsewhere may hold a secret. */
export function redactedEvent(event: Event): Event {
  if (!('message' in event) || event.message === undefined) return event;
  const redacted = { ...event, message: redactSecrets(event.message) };
  if (redacted.type !== 'warning' || redacted.hint === undefined) return redacted;
  return { ...redacted, hint: redactSecrets(redacted.hint) };
}

/** A warning in one line, without the word. */
export function warningText(event: Extract<Event, { type: 'warning' }>): string {
  return oneLine(event.store === undefined ? event.message : `${event.store}: ${event.message}`);
}

/** A warning for people: `warning: vectors: ...`, and what to do about it on a line of its own. */
export function warningLines(event: Extract<Event, { type: 'warning' }>): string[] {
  const lines = [`warning: ${warningText(event)}`];
  if (event.hint !== undefined) lines.push(`hint: ${oneLine(event.hint)}`);
  return lines;
}
