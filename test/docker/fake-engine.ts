// A scripted Docker Engine on a Unix socket, for answers that the real one does not give when asked to.
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectDocker, type Docker } from '../../src/docker/index.ts';

export type Script = (
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
) => void | Promise<void>;

export interface FakeEngine extends AsyncDisposable {
  readonly docker: Docker;
  readonly environment: { DOCKER_HOST: string };
  /** `POST /containers/x/stop`, in the order of arrival. */
  readonly requests: string[];
  /** How many connections are open. */
  openConnections(): number;
}

export const limits = { idleMs: 300, deadlineMs: 400, pingDeadlineMs: 400 };

/** `/version` is answered; everything else is the script's. */
export async function fakeEngine(script: Script): Promise<FakeEngine> {
  const directory = await mkdtemp(join(tmpdir(), 'pkbackup-fake-'));
  const socketPath = join(directory, 'docker.sock');
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    const path = decodeURIComponent((request.url ?? '').replace(/\?.*/, ''));
    if (path === '/version') return json(response, { Version: '99.0' });
    requests.push(`${request.method} ${path}`);
    response.on('error', () => undefined);
    request.on('error', () => undefined);
    Promise.resolve(script(request, response, path)).catch((error: unknown) =>
      response.destroy(error as Error),
    );
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await listen(server, socketPath);
  const environment = { DOCKER_HOST: `unix://${socketPath}` };
  return {
    docker: await connectDocker(environment, limits),
    environment,
    requests,
    openConnections: () => sockets.size,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => server.on('error', reject).listen(path, resolve));
}

export function json(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}

export function container(id: string, state: object = {}, more: object = {}): object {
  return {
    Id: id,
    Name: `/${id}`,
    Image: 'sha256:0',
    State: { Status: 'running', StartedAt: '2026-01-01T00:00:00Z', ExitCode: 0, ...state },
    Config: { Image: 'image:1', Labels: {}, Env: [] },
    HostConfig: { RestartPolicy: { Name: 'no' } },
    Mounts: [{ Type: 'volume', Name: 'data', Source: '/v', Destination: '/data', RW: true }],
    ...more,
  };
}

/** One frame of an exec's output. */
export function frame(stream: number, text: string): Buffer {
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
}

export async function bytesFrom(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}
