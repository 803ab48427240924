// Pings of a health check, as Healthchecks has them: it raises the alarm when none comes.
import { type Message, type Outcome, textOf } from './message.ts';

/** Healthchecks takes 100 kB. */
const mostPingBytes = 50_000;
const pings: Partial<Record<Outcome, string>> = { started: '/start', failure: '/fail', test: '/log' };

/** `rid` tells the start and the end of one run from those of another. */
export function pingUrl(url: URL, { outcome, runId }: Pick<Message, 'outcome' | 'runId'>): URL {
  const ping = new URL(url);
  ping.pathname = url.pathname.replace(/\/$/, '') + (pings[outcome] ?? '');
  ping.searchParams.set('rid', runId);
  return ping;
}

export function pingBody({ outcome, title, lines, lastLines }: Message): string {
  return outcome === 'started' ? '' : textOf([title, ...lines, '', ...lastLines], mostPingBytes);
}
