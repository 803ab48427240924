// The door of the notify layer; message.ts tells what it is.
import { messageOf } from '../errors.ts';
import { readSecret, redactSecrets, Secret, type SecretPlace } from '../secret.ts';
import { anyBody, discordBody, slackBody } from './chat.ts';
import { DeliveryError, type DeliveryOptions, deliver, usualDelivery } from './delivery.ts';
import { send, urlOf } from './http.ts';
import { fillTemplate } from './json-template.ts';
import { type Message, redactedMessage } from './message.ts';
import { ntfyRequest } from './ntfy.ts';
import { pingBody, pingUrl } from './ping.ts';
import { type EmailTarget, type JsonTarget, type Target, type WebhookTarget, wants } from './targets.ts';

export { type Message, type Outcome, type Reason, reasons } from './message.ts';
export type { Target, TargetKind } from './targets.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface Delivered {
  readonly target: Target;
  /** Missing where it arrived. */
  readonly error?: string;
}

export interface NotifyOptions {
  readonly environment: Environment;
  readonly delivery?: DeliveryOptions;
}

/** To everyone who wants it, at once. Never throws: that a message did not arrive is a result. */
export function notify(
  targets: readonly Target[],
  message: Message,
  { environment, delivery = usualDelivery }: NotifyOptions,
): Promise<Delivered[]> {
  const redacted = redactedMessage(message);
  const wanted = targets.filter((target) => wants(target, redacted));
  return Promise.all(
    wanted.map(async (target) => {
      try {
        const attempt = await prepare(target, redacted, environment);
        await deliver(attempt, delivery);
        return { target };
      } catch (error) {
        return { target, error: redactSecrets(messageOf(error)) };
      }
    }),
  );
}

/** What is wrong with a target before anything is sent, so that it is not found out in the night when it matters. */
export async function problemOf(target: Target, environment: Environment): Promise<string | undefined> {
  try {
    if (target.kind === 'email') await passwordOf(target, environment);
    else urlOf(await secretOf(target.url, environment));
    return undefined;
  } catch (error) {
    return redactSecrets(messageOf(error));
  }
}

type Attempt = (signal: AbortSignal) => Promise<void>;

async function prepare(target: Target, message: Message, environment: Environment): Promise<Attempt> {
  if (target.kind === 'email') {
    const { sendEmail } = await import('./email.ts');
    const password = await passwordOf(target, environment);
    return (signal) => sendEmail(target, password, message, signal);
  }
  const url = urlOf(await secretOf(target.url, environment));
  const token = 'token' in target && target.token ? await secretOf(target.token, environment) : undefined;
  switch (target.kind) {
    case 'ntfy':
      return (signal) => send(url, { ...ntfyRequest(message), token }, signal);
    case 'json':
      return (signal) => send(url, { ...jsonRequest(target, message), token }, signal);
    case 'healthcheck':
      return (signal) => send(pingUrl(url, message), { body: pingBody(message) }, signal);
    default:
      return (signal) => send(url, chatRequest(target, message), signal);
  }
}

async function secretOf(place: SecretPlace, environment: Environment): Promise<Secret> {
  const secret = await readSecret(place, environment);
  if (secret && secret.reveal().trim() !== '') return secret;
  const where = place.env === undefined ? `the file "${place.file}"` : `the variable "${place.env}"`;
  throw new DeliveryError(`${where} is empty`, { isFinal: true });
}

async function passwordOf({ login }: EmailTarget, environment: Environment): Promise<Secret | undefined> {
  if (!login) return undefined;
  return login.password instanceof Secret ? login.password : secretOf(login.password, environment);
}

function chatRequest({ kind }: WebhookTarget, message: Message) {
  const body = { slack: slackBody, discord: discordBody, any: anyBody }[kind](message);
  return asJson(body);
}

function jsonRequest({ method, headers, body }: JsonTarget, message: Message) {
  const text = [message.title, ...message.lines].join('\n');
  const values = { ...message.facts, title: message.title, text };
  const { headers: ofJson, ...request } = asJson(body === undefined ? values : fillTemplate(body, values));
  return { ...request, method, headers: { ...ofJson, ...headers } };
}

function asJson(body: unknown) {
  return { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}
