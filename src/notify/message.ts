// The notify layer: messages to people and to their tools, by HTTP and SMTP. It is given a message that is composed already,
// and knows no operation, no configuration and no terminal. Every message is redacted here, whoever composed it.
import { redactSecrets } from '../secret.ts';

/** Why somebody may want a message. */
export const reasons = ['failure', 'recovery', 'warning', 'success', 'skipped'] as const;
export type Reason = (typeof reasons)[number];

/** `started` is for health checks alone. */
export type Outcome = Reason | 'started' | 'test';

export interface Message {
  readonly operation: string;
  /** The worst that is true of it. */
  readonly outcome: Outcome;
  /** All that is true of it: a run may be a recovery, a success, and have warnings. */
  readonly reasons: readonly Reason[];
  /** One line. */
  readonly title: string;
  /** What matters first. */
  readonly lines: readonly string[];
  /** The end of what the run said, for those who have room for it. */
  readonly lastLines: readonly string[];
  /** For programs: plain JSON in snake_case. */
  readonly facts: Readonly<Record<string, unknown>>;
  /** The same for the messages of one run. */
  readonly runId: string;
}

export function redactedMessage(message: Message): Message {
  return {
    ...message,
    title: redactSecrets(message.title),
    lines: message.lines.map(redactSecrets),
    lastLines: message.lastLines.map(redactSecrets),
    facts: redactedFacts(message.facts),
  };
}

function redactedFacts(facts: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return JSON.parse(
    JSON.stringify(facts, (_key, value: unknown) =>
      typeof value === 'string' ? redactSecrets(value) : value,
    ),
  ) as Record<string, unknown>;
}

/** Cut at a border of lines where it is too long, counted in UTF-8. */
export function textOf(lines: readonly string[], mostBytes: number): string {
  const more = '...';
  let text = '';
  for (const line of lines) {
    const longer = text === '' ? line : `${text}\n${line}`;
    if (Buffer.byteLength(longer) > mostBytes - more.length - 1) {
      return text === '' ? `${cut(line, mostBytes - more.length)}${more}` : `${text}\n${more}`;
    }
    text = longer;
  }
  return text;
}

function cut(text: string, mostBytes: number): string {
  // A character that is parted becomes U+FFFD, and goes.
  return Buffer.from(text)
    .subarray(0, mostBytes)
    .toString('utf8')
    .replace(/\uFFFD$/, '');
}
