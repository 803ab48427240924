// The server of a drill: from the image that the backup was made with, or another one, on a throwaway volume and network.
// Shared by the stores that are servers; it knows no database.
import {
  type Container,
  type Docker,
  type Image,
  type ServerOptions,
  type Throwaway,
  throwIfAborted,
} from '../docker/index.ts';
import { PkbackupError } from '../errors.ts';
import { imageOfBackup } from './backup-image.ts';
import type { BackupFacts, DrillOptions, DrillPlace, StoreContext } from './store.ts';

export interface DrillServer extends AsyncDisposable {
  readonly docker: Docker;
  readonly throwaway: Throwaway;
  readonly image: Image;
  /** For `DrillPlace`. */
  readonly named: NonNullable<DrillPlace['image']>;
  /** Starts it and waits until `untilServing` returns; throws `unhealthy` with what it said in its log. */
  start(
    options: Omit<ServerOptions, 'image'>,
    untilServing: (container: Container) => Promise<void>,
  ): Promise<Container>;
  /** Of the running server. */
  environment(port: number): Record<string, string>;
}

const logLines = 50;

/** Throws `not_found` where the image is not on this machine: nothing is pulled. */
export async function openDrillServer(
  backup: BackupFacts,
  { id, image: wanted }: DrillOptions,
  context: StoreContext,
): Promise<DrillServer> {
  const docker = await context.docker();
  const { signal } = context;
  const own = await imageOfBackup(docker, backup.source, signal);
  const image = wanted === undefined ? own : await docker.image(wanted, { signal });
  if (!image) throw noImage(backup, wanted);
  warnOfOther(backup, image, wanted, context);
  const throwaway = await docker.openThrowaway(id, { signal });
  let running: Container | undefined;
  return {
    docker,
    throwaway,
    image,
    named: { name: wanted ?? backup.source.image ?? image.id, isOther: image.id !== own?.id },
    async start(options, untilServing) {
      running = await throwaway.start({ image: image.id, signal, ...options });
      try {
        await untilServing(running);
      } catch (error) {
        throwIfAborted(signal);
        throw await withLog(docker, running, error);
      }
      running = (await docker.container(running.id, { signal })) ?? running;
      return running;
    },
    environment: (port) => ({
      CONTAINER: running?.name ?? '',
      NETWORK: throwaway.network,
      HOST: running?.addresses[throwaway.network] ?? '',
      PORT: String(port),
    }),
    [Symbol.asyncDispose]: () => throwaway[Symbol.asyncDispose](),
  };
}

/** For the kinds that need no server. */
export function refuseImage({ kind, store }: BackupFacts, { image }: DrillOptions): void {
  if (image === undefined) return;
  throw new PkbackupError('usage', `${store}: --image "${image}": a store of kind ${kind} needs no image`, {
    hint: 'leave --image out, or name a store that is a server',
  });
}

function noImage({ source }: BackupFacts, wanted: string | undefined): PkbackupError {
  const name = wanted ?? source.image;
  if (name === undefined) {
    return new PkbackupError('not_found', 'the backup does not name the image of its server', {
      hint: 'name one with --image',
    });
  }
  return new PkbackupError('not_found', `image "${name}" is not on this machine`, {
    hint: `docker pull ${name}${wanted === undefined ? ', or name another one with --image' : ''}; pkbackup pulls nothing`,
  });
}

/** A name may stand for another image today than on the day of the backup. */
function warnOfOther(
  { source }: BackupFacts,
  image: Image,
  wanted: string | undefined,
  { emit, store }: StoreContext,
): void {
  const digest = source.image_digest?.replace(/^.*@/, '');
  const isSame = image.id === digest || image.digests.some((each) => each.endsWith(`@${digest}`));
  if (wanted !== undefined || digest === undefined || isSame) return;
  const message = `image "${source.image}" is not the one that the backup was made with: that had the digest ${digest}`;
  emit({ type: 'warning', store, message });
}

/** What a server says before it gives up tells more than that it did. */
async function withLog(docker: Docker, { id, name }: Container, error: unknown): Promise<unknown> {
  const isAnswer =
    error instanceof PkbackupError && ['unhealthy', 'restore_failed', 'failed'].includes(error.code);
  if (!isAnswer) return error;
  const log = await docker.log(id, { lines: logLines }).catch(() => '');
  const said = tellingLine(log);
  if (said === undefined) return error;
  const message = error.message.replaceAll(` "${name}"`, '');
  return new PkbackupError('unhealthy', `${message}; it said: ${said}`, { cause: error });
}

/** Of what a server said: the last line that sounds like trouble and is no mere pointer to the log, else the last. */
export function tellingLine(log: string): string | undefined {
  const lines = log.split('\n').map((line) => withoutTime(line.replace(/\x1b\[[0-9;]*m/g, '').trim()));
  const said = lines.filter((line) => !/^$|^(at |note: run with)|check (the )?server logs/.test(line));
  const trouble = /panick|fatal|error|exception|cannot|can't|unsupported|invalid|failed|incompatible/i;
  return (said.findLast((line) => trouble.test(line)) ?? said.at(-1))?.slice(0, 300);
}

/** `2026-11-20 20:35:35.020+0000 ...`, and `1:M 20 Nov 2026 20:35:35.020 # ...`. */
const withoutTime = (line: string): string =>
  line.replace(/^(\d{4}-\d\d-\d\d[ T][\d:.,]+(Z|[+-]\d+)?|\d+:[A-Z] \d+ \w+ \d{4} [\d:.]+ \S) +/, '');
