// Messages by HTTP. The URL is a secret: it names the right to send. Redirects are not followed, so that neither it nor a
// token goes to another host.
import { messageOf } from '../errors.ts';
import { hideFromTexts, redactSecrets, type Secret } from '../secret.ts';
import { DeliveryError } from './delivery.ts';

export interface HttpRequest {
  readonly method?: 'POST' | 'PUT';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
  readonly token?: Secret | undefined;
}

const mostAnswer = 200;

/** Throws `DeliveryError`, which names the host and nothing else of the URL. */
export async function send(url: URL, request: HttpRequest, signal: AbortSignal): Promise<void> {
  const { method = 'POST', headers = {}, body, token } = request;
  const bare = new URL(url);
  bare.username = '';
  bare.password = '';
  const answer = await fetch(bare, {
    method,
    headers: { 'user-agent': 'pkbackup', ...authorization(url, token), ...headers },
    body,
    signal,
    redirect: 'manual',
  }).catch((error: unknown) => {
    signal.throwIfAborted();
    throw new DeliveryError(`${url.host} cannot be reached: ${causeOf(error)}`, { cause: error });
  });
  if (answer.ok) {
    await answer.body?.cancel();
    return;
  }
  throw refused(url, answer, await beginningOf(answer, signal));
}

/** Throws `DeliveryError` without the text: it is a secret, also where it is no URL. */
export function urlOf(secret: Secret): URL {
  const url = URL.parse(secret.reveal().trim());
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new DeliveryError('its URL is none: expected one that begins with https:// or http://', {
      isFinal: true,
    });
  }
  hideParts(url);
  return url;
}

/** What a server may say again of a URL: its path, the long words in it, and the values behind the question mark. */
function hideParts(url: URL): void {
  if (url.password !== '') hideFromTexts(decodeURIComponent(url.password));
  if (url.pathname !== '/') hideFromTexts(url.pathname + url.search);
  const words = url.pathname.split('/').filter((word) => word.length >= 12);
  for (const word of [...words, ...url.searchParams.values()]) hideFromTexts(word);
}

function authorization(url: URL, token: Secret | undefined): Record<string, string> {
  if (token) return { authorization: `Bearer ${token.reveal().trim()}` };
  if (url.username === '' && url.password === '') return {};
  const login = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return { authorization: `Basic ${Buffer.from(login).toString('base64')}` };
}

function refused({ host }: URL, answer: Response, said: string): DeliveryError {
  const { status } = answer;
  const isRedirect = status >= 300 && status < 400;
  const why = isRedirect ? 'a redirect, which is not followed' : redactSecrets(said);
  // Too early, too many, or its own fault: the next time may be better.
  const isFinal = status < 500 && status !== 408 && status !== 425 && status !== 429;
  const retryAfter = Number(answer.headers.get('retry-after') ?? Number.NaN);
  return new DeliveryError(`${host} answered ${status}${why === '' ? '' : `: ${why}`}`, {
    isFinal,
    ...(Number.isFinite(retryAfter) && retryAfter > 0 ? { retryAfterMs: retryAfter * 1000 } : {}),
  });
}

/** In one line. It may never end, or be a whole page. */
async function beginningOf(answer: Response, signal: AbortSignal): Promise<string> {
  let text = '';
  try {
    const decoder = new TextDecoder();
    for await (const chunk of answer.body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      if (text.length > mostAnswer) break;
    }
  } catch {
    signal.throwIfAborted();
  }
  return text.replace(/\s+/g, ' ').trim().slice(0, mostAnswer);
}

/** `fetch failed` says nothing; what caused it does. */
function causeOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const told = cause instanceof AggregateError ? cause.errors[0] : cause;
  const code = told instanceof Error && 'code' in told ? String(told.code) : '';
  const text = redactSecrets(messageOf(told ?? error));
  return text === '' ? code || 'unknown reason' : text;
}
