// ntfy: the title and its kin are headers, the text is the body.
import { type Message, type Outcome, textOf } from './message.ts';

/** https://docs.ntfy.sh/publish: what is longer becomes an attachment. */
const mostNtfyBytes = 3900;
const priorities: Partial<Record<Outcome, string>> = { failure: '4', success: '2', skipped: '2' };

export function ntfyRequest(message: Message): { headers: Record<string, string>; body: string } {
  return {
    headers: {
      'content-type': 'text/plain; charset=utf-8',
      title: asHeader(message.title),
      priority: priorities[message.outcome] ?? '3',
      tags: `pkbackup,${message.outcome}`,
    },
    body: textOf(message.lines, mostNtfyBytes),
  };
}

/** RFC 2047, for what is not ASCII. */
function asHeader(text: string): string {
  const line = text.replace(/[\r\n]+/g, ' ');
  return /^[ -~]*$/.test(line) ? line : `=?UTF-8?B?${Buffer.from(line).toString('base64')}?=`;
}
