// The tools of this host, and a server that is reached by its address: over the network, or by its socket.
import { statfs } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { PkbackupError } from '../../errors.ts';
import { type StreamedProgram, streamProgram } from '../../process.ts';
import { hideFromTexts, readSecret, Secret, withoutSecrets } from '../../secret.ts';
import { runHostProgram } from '../host-program.ts';
import type { StoreContext } from '../store.ts';
import type { Command, Environment, ServerTarget, Tools } from './server.ts';

export interface Address {
  /** For people: `db.example.org:5432`. */
  readonly name: string;
  /** A name, an address, or the directory of a socket. */
  readonly host: string;
  readonly user: string;
  readonly password: Secret | undefined;
  /** That a URL names. */
  readonly database: string | undefined;
  /** For libpq. */
  readonly environment: Environment;
}

const defaultPort = 5432;
const connectSeconds = '15';
const shortMs = 60_000;

/** What of a URL may follow the question mark, and the variable that libpq takes it by. */
const parameters: Readonly<Record<string, string>> = {
  sslmode: 'PGSSLMODE',
  sslrootcert: 'PGSSLROOTCERT',
  sslcert: 'PGSSLCERT',
  sslkey: 'PGSSLKEY',
  channel_binding: 'PGCHANNELBINDING',
  gssencmode: 'PGGSSENCMODE',
  connect_timeout: 'PGCONNECT_TIMEOUT',
};

/** Throws `config`. */
export async function addressOf(target: ServerTarget, { environment }: StoreContext): Promise<Address> {
  const secret = await readSecret({ env: target.url_env }, environment);
  if (secret) return addressIn(secret, target);
  const { host = 'localhost', port = defaultPort, user = 'postgres' } = target;
  const usual = environment.PGPASSWORD;
  return {
    name: nameOf(host, port),
    host,
    user,
    password: usual ? new Secret(usual) : undefined,
    database: undefined,
    environment: { PGHOST: host, PGPORT: String(port) },
  };
}

/** The text is a secret, also where it is no URL. */
function addressIn(secret: Secret, { url_env = '', user: wanted }: ServerTarget): Address {
  const url = URL.parse(secret.reveal().trim());
  const isOurs = url !== null && /^postgres(ql)?:$/.test(url.protocol);
  const host = decodeURIComponent(url?.hostname ?? '') || url?.searchParams.get('host') || '';
  if (!url || !isOurs || host === '') {
    throw new PkbackupError(
      'config',
      `the environment variable "${url_env}" holds no URL of a PostgreSQL server`,
      {
        hint: 'expected one such as postgresql://USER:PASSWORD@db.example.org:5432/app',
      },
    );
  }
  const environment: Record<string, string> = { PGHOST: host, PGPORT: url.port || String(defaultPort) };
  for (const [key, value] of url.searchParams) {
    const variable = parameters[key];
    if (variable !== undefined) environment[variable] = value;
    else if (key !== 'host') throw unknownParameter(url_env, key);
  }
  const password = decodeURIComponent(url.password);
  if (password !== '') hideFromTexts(password);
  return {
    name: nameOf(host, Number(environment.PGPORT)),
    host,
    user: wanted ?? (decodeURIComponent(url.username) || 'postgres'),
    password: password === '' ? undefined : new Secret(password),
    database: decodeURIComponent(url.pathname.slice(1)) || undefined,
    environment,
  };
}

function unknownParameter(variable: string, key: string): PkbackupError {
  return new PkbackupError(
    'config',
    `the URL in "${variable}" has the parameter "${key}", which is not known`,
    {
      hint: `expected one of ${Object.keys(parameters).join(', ')}, host`,
    },
  );
}

const isSocket = (host: string): boolean => isAbsolute(host);
const nameOf = (host: string, port: number): string =>
  isSocket(host) ? `${host} (port ${port})` : `${host.includes(':') ? `[${host}]` : host}:${port}`;

/** `directory` is where the tools are, where that is not on the PATH. */
export function toolsOnHost(
  { host }: Address,
  directory: string | undefined,
  { environment }: StoreContext,
): Tools {
  const base = baseOf(environment);
  const fileOf = (tool: string) => (directory === undefined ? tool : join(directory, tool));
  const allOf = (env: Environment) => ({ PGCONNECT_TIMEOUT: connectSeconds, ...base, ...env });
  const start = (command: Command, env: Environment, signal: AbortSignal, stdin?: AsyncIterable<Buffer>) => {
    const [tool, ...args] = command;
    return {
      tool,
      run: streamProgram([fileOf(tool), ...args], { environment: allOf(env), signal, stdin }),
    };
  };
  return {
    run: ([tool, ...args], env, signal) =>
      runHostProgram([fileOf(tool), ...args], { environment: allOf(env), deadlineMs: shortMs, signal }),
    stream: (command, env, signal, stdin) => streamOf(start(command, env, signal, stdin)),
    takesStdin: true,
    feed: async (command, input, env, signal) => gather(streamOf(start(command, env, signal, input))),
    // Nobody can tell: those who wait have a deadline.
    isUp: async () => true,
    // Through a socket it is this very host.
    diskOf: async (path) => (isSocket(host) ? diskOf(path) : undefined),
  };
}

/** All but what would lead the tools elsewhere; where a password file or a certificate is, is the user's own affair. */
function baseOf(environment: StoreContext['environment']): Record<string, string> {
  const entries = Object.entries(withoutSecrets(environment));
  return Object.fromEntries(
    entries.filter(([name]) => !/^PG/.test(name) || /^PG(PASSFILE|SSL|GSS|KRB)/.test(name)),
  );
}

async function* streamOf({ tool, run }: { tool: string; run: StreamedProgram }): AsyncGenerator<Buffer> {
  yield* run.stdout;
  const { exitCode, message, stderr } = await run.ended;
  if (exitCode === 0) return;
  const said = stderr.trim().split('\n').slice(-5).join(' / ');
  throw new PkbackupError('failed', `run "${tool}": ${message}${said ? `: ${said}` : ''}`);
}

async function gather(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

async function diskOf(path: string) {
  try {
    const { blocks, bavail, bsize } = await statfs(path);
    return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
  } catch {
    return undefined;
  }
}
