// GET /metrics of pkbackup run: the metrics of this moment. It is asked for by a flag, and listens on this machine only unless
// it is told otherwise: what is in it are names of stores, sizes and times.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { messageOf, PkbackupError } from '../errors.ts';

export const usualAddress = '127.0.0.1:9469';

export interface MetricsServer extends AsyncDisposable {
  /** For people: `http://127.0.0.1:9469/metrics`. */
  readonly url: string;
}

/** Throws `usage` where the address is none, and `failed` where it cannot be had. */
export async function serveMetrics(address: string, metrics: () => Promise<string>): Promise<MetricsServer> {
  const { host, port } = parseAddress(address);
  let running: Promise<string> | undefined;
  // Whoever asks while it is reckoned gets the same.
  const once = () => {
    running ??= metrics().finally(() => {
      running = undefined;
    });
    return running;
  };
  const server = createServer((request, response) => {
    const end = (code: number, text: string, type = 'text/plain; charset=utf-8') => {
      response.writeHead(code, { 'content-type': type, 'content-length': Buffer.byteLength(text) });
      response.end(request.method === 'HEAD' ? undefined : text);
    };
    const path = request.url?.split('?')[0];
    if (path !== '/metrics') return end(404, 'the metrics are at /metrics\n');
    if (request.method !== 'GET' && request.method !== 'HEAD') return end(405, 'expected GET\n');
    once().then(
      (text) => end(200, text, 'text/plain; version=0.0.4; charset=utf-8'),
      (error: unknown) => end(500, `${messageOf(error)}\n`),
    );
  });
  server.requestTimeout = 10_000;
  const { address: on, family, port: at } = await listening(server, host, port, address);
  return {
    url: `http://${family === 'IPv6' ? `[${on}]` : on}:${at}/metrics`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function parseAddress(address: string): { host: string; port: number } {
  const [, bracketed, plain, digits = ''] =
    /^(?:(?:\[([^\]]+)\]|([^:[\]]*)):)?(\d{1,5})$/.exec(address) ?? [];
  const port = Number(digits);
  if (digits !== '' && port <= 65_535) return { host: bracketed || plain || '127.0.0.1', port };
  throw new PkbackupError(
    'usage',
    `--metrics: expected an address such as ${usualAddress}, got "${address}"`,
  );
}

async function listening(server: Server, host: string, port: number, address: string): Promise<AddressInfo> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(port, host, resolve);
    });
  } catch (error) {
    throw new PkbackupError('failed', `the metrics cannot be served on "${address}": ${messageOf(error)}`, {
      hint: 'choose another address with --metrics HOST:PORT',
      cause: error,
    });
  }
  return server.address() as AddressInfo;
}
