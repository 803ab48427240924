// Where messages go, and which.
import type { Secret, SecretPlace } from '../secret.ts';
import type { JsonTemplate } from './json-template.ts';
import type { Message, Reason } from './message.ts';

export const targetKinds = ['slack', 'discord', 'ntfy', 'json', 'email', 'healthcheck'] as const;
export type TargetKind = (typeof targetKinds)[number];

/** How an SMTP server is spoken with: TLS from the first byte, TLS before anything that matters, or none. */
export const securities = ['tls', 'starttls', 'none'] as const;
export type Security = (typeof securities)[number];

interface AnyTarget {
  /** As people name it. */
  readonly name: string;
  readonly on: readonly Reason[];
  /** Commands whose messages it gets. */
  readonly operations: readonly string[];
}

export interface WebhookTarget extends AnyTarget {
  /** `any` understands what Slack or Discord does; nobody said which it is. */
  readonly kind: 'slack' | 'discord' | 'any';
  readonly url: SecretPlace;
}

export interface NtfyTarget extends AnyTarget {
  readonly kind: 'ntfy';
  readonly url: SecretPlace;
  readonly token?: SecretPlace;
}

export interface JsonTarget extends AnyTarget {
  readonly kind: 'json';
  readonly url: SecretPlace;
  readonly token?: SecretPlace;
  readonly method: 'POST' | 'PUT';
  readonly headers: Readonly<Record<string, string>>;
  /** Everything there is where it is missing. */
  readonly body?: JsonTemplate;
}

export interface EmailTarget extends AnyTarget {
  readonly kind: 'email';
  readonly to: readonly string[];
  readonly from?: string;
  readonly host: string;
  readonly port: number;
  readonly security: Security;
  readonly login?: { readonly user: string; readonly password: SecretPlace | Secret };
}

/** As Healthchecks has it: `/start`, `/fail`, `/log`, and nothing for a success. */
export interface HealthcheckTarget extends AnyTarget {
  readonly kind: 'healthcheck';
  readonly url: SecretPlace;
}

export type Target = WebhookTarget | NtfyTarget | JsonTarget | EmailTarget | HealthcheckTarget;

export function wants(target: Target, message: Message): boolean {
  if (message.outcome === 'test') return true;
  if (!target.operations.includes(message.operation)) return false;
  if (target.kind === 'healthcheck') return message.outcome !== 'skipped';
  return message.reasons.some((reason) => target.on.includes(reason));
}
