// Where the Docker Engine listens, found as the docker CLI finds it: DOCKER_HOST, DOCKER_CONTEXT, the current context of
// ~/.docker/config.json, then the sockets that Docker makes by itself.
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { messageOf, PkbackupError, systemCodeOf } from '../errors.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Tls {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly skipsVerify: boolean;
}

export type Endpoint = {
  /** For messages: `unix:///var/run/docker.sock`. */
  readonly url: string;
  /** What named it, for messages: `DOCKER_HOST`, `context "desktop-linux"`, `default`. */
  readonly namedBy: string;
} & (
  | { readonly kind: 'socket'; readonly socketPath: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly tls?: Tls }
);

export interface Machine {
  readonly homeDir: string;
  readonly platform: NodeJS.Platform;
  readonly userId: number | undefined;
}

const thisMachine = (): Machine => ({
  homeDir: homedir(),
  platform: process.platform,
  userId: process.getuid?.(),
});

export async function findEndpoint(environment: Environment, machine = thisMachine()): Promise<Endpoint> {
  const host = environment.DOCKER_HOST;
  if (host) return endpointOf(host, 'DOCKER_HOST', await tlsFromEnvironment(environment, machine, host));
  const configDir = environment.DOCKER_CONFIG || join(machine.homeDir, '.docker');
  const context = environment.DOCKER_CONTEXT || (await currentContext(configDir));
  if (context && context !== 'default') return endpointOfContext(configDir, context);
  return endpointOf(await defaultHost(environment, machine), 'default', undefined);
}

function endpointOf(host: string, namedBy: string, tls: Tls | undefined): Endpoint {
  const socket = /^(?:unix|npipe):\/\/(.+)$/.exec(host)?.[1];
  if (socket) return { kind: 'socket', socketPath: socket, url: host, namedBy };
  const url = parseTcp(host, namedBy);
  const usesTls =
    tls ?? (url.port === '2376' || url.protocol === 'https:' ? { skipsVerify: false } : undefined);
  return {
    kind: 'tcp',
    host: url.hostname,
    port: Number(url.port || (usesTls ? 2376 : 2375)),
    url: host,
    namedBy,
    ...(usesTls ? { tls: usesTls } : {}),
  };
}

function parseTcp(host: string, namedBy: string): URL {
  const expected = 'expected unix://PATH, npipe://PATH or tcp://HOST:PORT';
  if (host.startsWith('ssh://')) {
    throw new PkbackupError(
      'docker_unreachable',
      `${namedBy} "${host}" goes through ssh, which is not supported`,
      {
        hint: 'forward the socket (ssh -NL /tmp/docker.sock:/var/run/docker.sock HOST) and set DOCKER_HOST=unix:///tmp/docker.sock',
      },
    );
  }
  try {
    const url = new URL(host.includes('://') ? host : `tcp://${host}`);
    if (!['tcp:', 'http:', 'https:'].includes(url.protocol) || !url.hostname) throw new Error(expected);
    return url;
  } catch (cause) {
    throw new PkbackupError('docker_unreachable', `${namedBy} "${host}" is not an address of Docker`, {
      hint: expected,
      cause,
    });
  }
}

async function tlsFromEnvironment(
  environment: Environment,
  machine: Machine,
  host: string,
): Promise<Tls | undefined> {
  const isVerified = Boolean(environment.DOCKER_TLS_VERIFY);
  if (/^(unix|npipe):/.test(host) || (!isVerified && !environment.DOCKER_TLS)) return undefined;
  const dir = environment.DOCKER_CERT_PATH || environment.DOCKER_CONFIG || join(machine.homeDir, '.docker');
  return readTls(dir, !isVerified);
}

async function readTls(dir: string, skipsVerify: boolean): Promise<Tls> {
  const [ca, cert, key] = await Promise.all(
    ['ca.pem', 'cert.pem', 'key.pem'].map((name) => readIfThere(join(dir, name))),
  );
  return { skipsVerify, ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) };
}

async function currentContext(configDir: string): Promise<string | undefined> {
  const text = await readIfThere(join(configDir, 'config.json'));
  if (!text) return undefined;
  const config = parseJson(text, join(configDir, 'config.json')) as { currentContext?: unknown } | null;
  return typeof config?.currentContext === 'string' ? config.currentContext : undefined;
}

interface ContextFile {
  Endpoints?: { docker?: { Host?: unknown; SkipTLSVerify?: unknown } };
}

async function endpointOfContext(configDir: string, context: string): Promise<Endpoint> {
  const digest = createHash('sha256').update(context).digest('hex');
  const path = join(configDir, 'contexts', 'meta', digest, 'meta.json');
  const text = await readIfThere(path);
  const endpoint = text ? (parseJson(text, path) as ContextFile | null)?.Endpoints?.docker : undefined;
  if (typeof endpoint?.Host !== 'string') {
    throw new PkbackupError('docker_unreachable', `Docker context "${context}" is not there`, {
      hint: 'see docker context ls, or set DOCKER_HOST',
    });
  }
  const tls = await readTls(
    join(configDir, 'contexts', 'tls', digest, 'docker'),
    endpoint.SkipTLSVerify === true,
  );
  return endpointOf(endpoint.Host, `context "${context}"`, tls.ca || tls.cert ? tls : undefined);
}

async function defaultHost(environment: Environment, machine: Machine): Promise<string> {
  if (machine.platform === 'win32') return 'npipe:////./pipe/docker_engine';
  const runtimeDir = environment.XDG_RUNTIME_DIR || `/run/user/${machine.userId ?? 0}`;
  const sockets = [
    '/var/run/docker.sock',
    join(machine.homeDir, '.docker', 'run', 'docker.sock'),
    join(runtimeDir, 'docker.sock'),
    join(machine.homeDir, '.docker', 'desktop', 'docker.sock'),
  ];
  for (const path of sockets) if (await stat(path).catch(() => undefined)) return `unix://${path}`;
  return 'unix:///var/run/docker.sock';
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT' || systemCodeOf(error) === 'ENOTDIR') return undefined;
    throw new PkbackupError('docker_unreachable', `cannot read "${path}": ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function parseJson(text: Buffer, path: string): unknown {
  try {
    return JSON.parse(text.toString('utf8'));
  } catch (cause) {
    throw new PkbackupError('docker_unreachable', `"${path}" is not JSON: ${messageOf(cause)}`, { cause });
  }
}
