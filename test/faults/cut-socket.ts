// A socket between pkbackup and the Docker Engine that hangs up in the middle of a request, as somebody does who kills the
// connection: once, or every time from then on.
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { onTestFinished } from 'vitest';
import { connectDocker, type Docker } from '../../src/docker/index.ts';
import { makeTempDir } from '../archive/gather.ts';

export interface Cut {
  /** Of the request line: `PUT /containers/.../archive?...`. */
  readonly request: RegExp;
  /** Hangs up when so much of the request has gone through. */
  readonly afterBytes?: number;
}

export interface CutSocket {
  readonly docker: () => Promise<Docker>;
  /** The next request of the kind is cut, and no other. */
  arm(cut: Cut): void;
  hasCut(): boolean;
}

export async function startCutSocket(): Promise<CutSocket> {
  const real = (process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock').replace(/^unix:\/\//, '');
  const path = join(makeTempDir(), 'docker.sock');
  let armed: Cut | undefined;
  let cuts = 0;
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const engine = connect(real);
    let request = '';
    let bytes = 0;
    for (const socket of [client, engine]) {
      open.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        open.delete(socket);
        client.destroy();
        engine.destroy();
      });
    }
    client.on('data', (chunk: Buffer) => {
      const line = /^(?:GET|HEAD|PUT|POST|DELETE) \S+/.exec(chunk.toString('latin1', 0, 2000))?.[0];
      if (line !== undefined) {
        request = line;
        bytes = 0;
      }
      bytes += chunk.length;
      if (armed?.request.test(request) && bytes > (armed.afterBytes ?? 0)) {
        armed = undefined;
        cuts += 1;
        client.destroy();
        engine.destroy();
      } else engine.write(chunk);
    });
    client.on('end', () => engine.end());
    engine.pipe(client);
  });
  server.listen(path);
  onTestFinished(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  const environment = { ...process.env, DOCKER_HOST: `unix://${path}` };
  return {
    docker: () => connectDocker(environment),
    arm(cut) {
      armed = cut;
    },
    hasCut: () => cuts > 0,
  };
}
