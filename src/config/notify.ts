// `notify:` of the config file, and the variables of the replaced scripts that do the same. URLs are secrets: they name the
// right to send, so they come by variable or file only.
import { z } from 'zod';
import { didYouMean } from '../near.ts';
import { type JsonTemplate, placeholdersIn } from '../notify/json-template.ts';
import { reasons } from '../notify/message.ts';
import { type EmailTarget, type Security, securities, type Target } from '../notify/targets.ts';
import { Secret } from '../secret.ts';
import { absolutePaths } from './paths.ts';
import type { Environment } from './substitute.ts';

/** Commands that send messages when they end. */
export const notifyingCommands = ['backup', 'verify', 'drill', 'guard'] as const;

/** What `{name}` in a template of `kind: json` may stand for. */
export const placeholders = [
  'title',
  'text',
  'operation',
  'outcome',
  'host',
  'time',
  'exit_code',
  'duration_ms',
  'repository',
  'set_id',
  'error',
  'stores',
  'failed_stores',
  'recovered',
  'warnings',
  'version',
] as const;

const text = z.string().min(1);
const on = z.union([z.literal('always'), z.array(z.enum(reasons)).min(1)]).optional();
const commands = z.array(z.enum(notifyingCommands)).min(1).optional();
/** Whoever writes the secret itself here must not read it again in the message. */
const variable = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'expected the name of a variable');
const url = { url_env: variable.optional(), url_file: text.optional() };
const token = { token_env: variable.optional(), token_file: text.optional() };

const hasUrl = (said: { url_env?: string | undefined; url_file?: string | undefined }) =>
  (said.url_env === undefined) !== (said.url_file === undefined);
const noUrl = { error: 'expected url_env or url_file: a URL that messages go to is a secret' };

const template: z.ZodType<JsonTemplate> = z.json();
const address = z.string().regex(/^[^\s@<>]+@[^\s@<>]+$/, 'expected an address such as me@example.org');

const chatSchema = z.strictObject({ kind: z.enum(['slack', 'discord']), ...url, on, commands });
const ntfySchema = z.strictObject({ kind: z.literal('ntfy'), ...url, ...token, on, commands });
const jsonSchema = z.strictObject({
  kind: z.literal('json'),
  ...url,
  ...token,
  method: z.enum(['POST', 'PUT']).optional(),
  headers: z.record(z.string().regex(/^[A-Za-z0-9-]+$/, 'not a name of a header'), z.string()).optional(),
  body: template
    .superRefine((body, context) => {
      const unknown = placeholdersIn(body).filter((name) => !placeholders.some((known) => known === name));
      for (const name of unknown) {
        context.addIssue({
          code: 'custom',
          message: `unknown placeholder {${name}}${didYouMean(name, placeholders)} (known are ${placeholders.join(', ')})`,
        });
      }
    })
    .optional(),
  on,
  commands,
});
const emailSchema = z.strictObject({
  kind: z.literal('email'),
  to: z.union([address, z.array(address).min(1)]),
  from: address.optional(),
  host: text.optional(),
  port: z.int().min(1).max(65535).optional(),
  security: z.enum(securities).optional(),
  user: text.optional(),
  password_env: variable.optional(),
  password_file: text.optional(),
  on,
  commands,
});
const healthcheckSchema = z.strictObject({ kind: z.literal('healthcheck'), ...url, commands });

const targetSchema = z.discriminatedUnion('kind', [
  chatSchema.refine(hasUrl, noUrl),
  ntfySchema.refine(hasUrl, noUrl),
  jsonSchema.refine(hasUrl, noUrl),
  emailSchema.superRefine((said, context) => {
    for (const message of mistakesOf(said)) context.addIssue({ code: 'custom', message });
  }),
  healthcheckSchema.refine(hasUrl, noUrl),
]);

export const notifySchema = z.record(
  z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,49}$/, 'not a name: expected letters, digits, ".", "-" or "_"'),
  targetSchema,
);

/** Each by its name; files belong to the directory of the config file. */
export function targetsOf(said: z.infer<typeof notifySchema>, directory: string): Target[] {
  return Object.entries(said).map(([name, entry]) => {
    return targetOf(name, targetSchema.parse(absolutePaths(entry, directory)));
  });
}

type Entry = z.infer<typeof targetSchema>;

function targetOf(name: string, entry: Entry): Target {
  const common = {
    name,
    on: entry.kind === 'healthcheck' ? [...reasons] : reasonsOf(entry.on),
    operations: entry.commands ?? (entry.kind === 'healthcheck' ? ['backup'] : [...notifyingCommands]),
  };
  if (entry.kind === 'email') return { ...common, ...emailOf(entry) };
  const place = { env: entry.url_env, file: entry.url_file };
  const token =
    'token_env' in entry || 'token_file' in entry
      ? { env: entry.token_env, file: entry.token_file }
      : undefined;
  const request = { ...common, url: place, ...(token && { token }) };
  if (entry.kind !== 'json') return { ...request, kind: entry.kind };
  return {
    ...request,
    kind: 'json',
    method: entry.method ?? 'POST',
    headers: entry.headers ?? {},
    ...(entry.body !== undefined && { body: entry.body }),
  };
}

function reasonsOf(on: EmailEntry['on']): Target['on'] {
  if (on === undefined) return ['failure', 'recovery'];
  return on === 'always' ? [...reasons] : on;
}

type EmailEntry = z.infer<typeof emailSchema>;

function emailOf(entry: EmailEntry): Omit<EmailTarget, 'name' | 'on' | 'operations'> {
  const { to, from, host = 'localhost', user } = entry;
  const port = entry.port ?? usualPort(entry.security, host);
  return {
    kind: 'email',
    to: typeof to === 'string' ? [to] : to,
    ...(from !== undefined && { from }),
    host,
    port,
    security: entry.security ?? usualSecurity(port, host),
    ...(user !== undefined && {
      login: { user, password: { env: entry.password_env, file: entry.password_file } },
    }),
  };
}

function usualPort(security: Security | undefined, host: string): number {
  if (security === 'tls') return 465;
  return isHere(host) ? 25 : 587;
}

/** What goes over a network is encrypted; the mail server of this machine has seldom a certificate. */
function usualSecurity(port: number, host: string): Security {
  if (port === 465) return 'tls';
  return isHere(host) ? 'none' : 'starttls';
}

const isHere = (host: string) => /^(localhost|127\.\d+\.\d+\.\d+|::1)$/.test(host);

function mistakesOf(entry: EmailEntry): string[] {
  const { user, password_env, password_file } = entry;
  const hasPassword = password_env !== undefined || password_file !== undefined;
  const { security, host } = emailOf(entry);
  return [
    ...(hasPassword === (user !== undefined)
      ? []
      : ['expected user, and password_env or password_file, or none']),
    ...(password_env !== undefined && password_file !== undefined
      ? ['expected password_env or password_file, not both']
      : []),
    ...(hasPassword && security === 'none' && !isHere(host)
      ? ['a password goes over the network only with security: tls or starttls']
      : []),
  ];
}

/**
 * `BACKUP_WEBHOOK` and `BACKUP_EMAIL` of the replaced scripts, which told of every run; a target of the config file that uses
 * the variable takes its place. `BACKUP_SMTP` names the server, where it is not the one of this machine.
 */
export function targetsOfEnvironment(
  environment: Environment,
  configured: readonly Target[],
): { targets: Target[]; problems: string[] } {
  const common = { on: [...reasons], operations: ['backup'] };
  const { BACKUP_WEBHOOK: webhook, BACKUP_EMAIL: email, BACKUP_SMTP: smtp } = environment;
  const isUsed = configured.some((target) => 'url' in target && target.url.env === 'BACKUP_WEBHOOK');
  const targets: Target[] = [];
  const problems: string[] = [];
  if (webhook && !isUsed) {
    targets.push({
      ...common,
      name: 'BACKUP_WEBHOOK',
      kind: webhookKind(webhook),
      url: { env: 'BACKUP_WEBHOOK' },
    });
  }
  if (!email) return { targets, problems };
  const to = email.split(/[\s,;]+/).filter(Boolean);
  const server = serverOf(smtp || 'smtp://localhost');
  if (!to.every((each) => address.safeParse(each).success)) {
    problems.push('BACKUP_EMAIL: expected addresses, with commas between them');
  } else if (typeof server === 'string') problems.push(server);
  else targets.push({ ...common, name: 'BACKUP_EMAIL', kind: 'email', to, ...server });
  return { targets, problems };
}

function webhookKind(webhook: string): 'slack' | 'discord' | 'any' {
  const { host = '', pathname = '' } = URL.parse(webhook) ?? {};
  if (host === 'hooks.slack.com' || pathname.endsWith('/slack')) return 'slack';
  return /^(.+\.)?discord(app)?\.com$/.test(host) ? 'discord' : 'any';
}

/** What is wrong with it is said without it: it holds a password. */
function serverOf(smtp: string): Pick<EmailTarget, 'host' | 'port' | 'security' | 'login'> | string {
  const url = URL.parse(smtp);
  if (!url || !/^smtps?:$/.test(url.protocol) || url.hostname === '') {
    return 'BACKUP_SMTP: expected a URL such as smtps://user:password@mail.example.org';
  }
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const isTls = url.protocol === 'smtps:';
  const port = url.port === '' ? usualPort(isTls ? 'tls' : undefined, host) : Number(url.port);
  const security = isTls ? 'tls' : usualSecurity(port, host);
  if (url.username === '') return { host, port, security };
  const password = new Secret(decodeURIComponent(url.password));
  return { host, port, security, login: { user: decodeURIComponent(url.username), password } };
}
