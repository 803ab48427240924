// A Docker Engine of one's own, to be stopped and killed: its own data, socket and network, beside the one that others use.
// Linux and root.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Dockerode from 'dockerode';

export interface OwnEngine {
  readonly host: string;
  readonly client: Dockerode;
  start(): Promise<void>;
  /** SIGTERM lets it end in order; SIGKILL does not. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** Ends it and removes all it had. */
  remove(): Promise<void>;
}

/** Starts it with these images, which are taken from the usual Engine. */
export async function startOwnEngine(directory: string, ...images: string[]): Promise<OwnEngine> {
  mkdirSync(directory, { recursive: true });
  const socket = join(directory, 'docker.sock');
  const client = new Dockerode({ socketPath: socket });
  let child: ChildProcess | undefined;
  const engine: OwnEngine = {
    host: `unix://${socket}`,
    client,
    async start() {
      rmSync(join(directory, 'docker.pid'), { force: true });
      const log = openSync(join(directory, 'dockerd.log'), 'a');
      for (let attempt = 0; ; attempt += 1) {
        // In a network of its own: at its start an Engine without a bridge removes that of its neighbour.
        child = spawn('unshare', ['--net', 'dockerd', ...argumentsFor(directory, socket)], {
          stdio: ['ignore', log, log],
        });
        // After a kill its containerd may still be dying, and then it gives up.
        if (await isReady(client, child)) return;
        if (attempt === 5) throw new Error(`the Engine did not start: ${endOfLog(directory)}`);
      }
    },
    async end(signal) {
      if (!child?.pid || child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill(signal);
      await ended;
    },
    async remove() {
      for (const { Id } of await client.listContainers({ all: true }).catch(() => [])) {
        await client
          .getContainer(Id)
          .remove({ force: true })
          .catch(() => undefined);
      }
      await engine.end('SIGTERM');
      await sleep(500);
      unmountBelow(directory);
      rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 500 });
    },
  };
  await engine.start();
  for (const image of images) {
    await client.loadImage(await new Dockerode().getImage(image).get());
    await untilImage(client, image);
  }
  return engine;
}

function argumentsFor(directory: string, socket: string): string[] {
  return [
    ...['--host', `unix://${socket}`],
    ...['--data-root', join(directory, 'data')],
    ...['--exec-root', join(directory, 'exec')],
    ...['--pidfile', join(directory, 'docker.pid')],
    ...['--bridge', 'none', '--iptables=false', '--ip-masq=false'],
  ];
}

async function isReady(client: Dockerode, child: ChildProcess): Promise<boolean> {
  while (child.exitCode === null && child.signalCode === null) {
    if (await client.ping().catch(() => undefined)) return true;
    await sleep(100);
  }
  return false;
}

/** A killed Engine leaves the file systems of its containers mounted. */
function unmountBelow(directory: string): void {
  const points = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '');
  for (const point of points.filter((path) => path.startsWith(directory)).reverse()) {
    spawnSync('umount', ['--lazy', point]);
  }
}

function endOfLog(directory: string): string {
  return readFileSync(join(directory, 'dockerd.log'), 'utf8').slice(-2000);
}

async function untilImage(client: Dockerode, image: string): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt += 1) {
    if (
      await client
        .getImage(image)
        .inspect()
        .catch(() => undefined)
    )
      return;
    await sleep(200);
  }
  throw new Error(`the image "${image}" did not arrive`);
}
