// redis-cli of this host, and a server that is reached by its address or its socket, without Docker.
import { isAbsolute, join } from 'node:path';
import { PkbackupError } from '../../errors.ts';
import { hideFromTexts, readSecret, Secret, withoutSecrets } from '../../secret.ts';
import { runHostProgram } from '../host-program.ts';
import type { StoreContext } from '../store.ts';
import type { Credentials, FalkordbServer } from './server.ts';

export interface ServerOnHost extends FalkordbServer {
  /** Without user, password and query. */
  readonly url: string;
}

/** How the configuration says it is reached. */
export interface HostConnection extends Credentials {
  readonly url_env?: string | undefined;
  /** A name, an address, or the path of a socket. */
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  /** The directory of redis-cli, where it is not on the PATH. */
  readonly tools?: string | undefined;
}

interface Address {
  /** `127.0.0.1:6379`, or the path of a socket. */
  readonly name: string;
  readonly url: string;
  /** For redis-cli. */
  readonly args: readonly string[];
  readonly user: string | undefined;
  readonly password: Secret | undefined;
}

const defaultPort = 6379;

/** What of a URL may follow the question mark, and the option that redis-cli takes it by. */
const parameters: Readonly<Record<string, string>> = {
  cacert: '--cacert',
  cert: '--cert',
  key: '--key',
  sni: '--sni',
};

/** Does not ask it yet. */
export async function connectOnHost(
  connection: HostConnection,
  { environment, signal }: Pick<StoreContext, 'environment' | 'signal'>,
): Promise<ServerOnHost> {
  const { url_env, tools, user, password_env: env, password_file: file } = connection;
  const secret = await readSecret({ env: url_env }, environment);
  const address = secret ? addressIn(secret, url_env ?? '') : plainAddress(connection);
  const usual = environment.REDISCLI_AUTH;
  const configured = (await readSecret({ env, file }, environment)) ?? address.password;
  const redisCli = tools === undefined ? 'redis-cli' : join(tools, 'redis-cli');
  const base = Object.entries(withoutSecrets(environment)).filter(([name]) => !/^REDISCLI_/.test(name));
  return {
    where: `the server at ${address.name}`,
    itsLog: 'its log',
    url: address.url,
    noClient: () =>
      new PkbackupError('config', `there is no redis-cli here to ask the server at ${address.name}`, {
        hint: 'install the client programs of Redis (redis-tools), and say their directory with tools where it is not on the PATH',
      }),
    user: user ?? address.user,
    password: configured ?? (usual ? new Secret(usual) : undefined),
    signal,
    run: (args, own, how) =>
      runHostProgram([redisCli, ...address.args, ...args], {
        environment: { ...Object.fromEntries(base), LC_ALL: 'C', ...own },
        ...how,
      }),
  };
}

function plainAddress({ host = '127.0.0.1', port = defaultPort }: HostConnection): Address {
  const none = { user: undefined, password: undefined };
  if (isAbsolute(host)) return { ...none, name: host, url: `unix:${host}`, args: ['-s', host] };
  return { ...none, ...named('redis', host, port), args: ['-h', host, '-p', String(port)] };
}

/** For people; of a URL that is not known here, the variable that holds it. */
export function nameAt(connection: HostConnection, environment: StoreContext['environment']): string {
  const { url_env = '' } = connection;
  if (connection.url_env === undefined) return plainAddress(connection).name;
  const value = environment[url_env];
  return value === undefined ? url_env : addressIn(new Secret(value), url_env).name;
}

/** The text is a secret, also where it is no URL. */
function addressIn(secret: Secret, variable: string): Address {
  const url = URL.parse(secret.reveal().trim());
  const scheme = /^(rediss?):$/.exec(url?.protocol ?? '')?.[1];
  const host = decodeURIComponent(url?.hostname ?? '').replace(/^\[(.*)\]$/, '$1');
  if (!url || scheme === undefined || host === '') {
    throw new PkbackupError('config', `the environment variable "${variable}" holds no URL of a server`, {
      hint: 'expected one such as redis://USER:PASSWORD@127.0.0.1:6379, or rediss:// for TLS',
    });
  }
  const port = Number(url.port || defaultPort);
  const password = decodeURIComponent(url.password);
  if (password !== '') hideFromTexts(password);
  return {
    ...named(scheme, host, port),
    args: ['-h', host, '-p', String(port), ...tlsOf(url, scheme, variable)],
    user: decodeURIComponent(url.username) || undefined,
    password: password === '' ? undefined : new Secret(password),
  };
}

function tlsOf({ searchParams }: URL, scheme: string, variable: string): string[] {
  const isTls = scheme === 'rediss';
  const options = [...searchParams].map(([name, value]) => {
    const option = parameters[name];
    if (option !== undefined && isTls) return [option, value];
    throw new PkbackupError('config', `the URL in "${variable}" has the parameter "${name}"`, {
      hint: `expected ${Object.keys(parameters).join(', ')}, with rediss:// only`,
    });
  });
  return isTls ? ['--tls', ...options.flat()] : [];
}

function named(scheme: string, host: string, port: number): Pick<Address, 'name' | 'url'> {
  const name = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return { name, url: `${scheme}://${name}` };
}
