// Images that are here already. Nothing is pulled, ever.

import { Readable } from 'node:stream';
import { encodeEntry, endOfArchive } from '../archive/tar-format.ts';
import { PkbackupError } from '../errors.ts';
import { helperLabel } from './container.ts';
import { type CallOptions, deadlineFor } from './deadline.ts';
import type { Engine } from './engine.ts';
import { hasStatus } from './engine-errors.ts';
import { readStream } from './read-stream.ts';

export interface Image {
  readonly id: string;
  readonly tags: readonly string[];
  /** `chromadb/chroma@sha256:...`; empty for images that were built or imported here. */
  readonly digests: readonly string[];
  readonly sizeBytes: number;
  readonly labels: Readonly<Record<string, string>>;
}

interface RawImage {
  Id?: string;
  RepoTags?: string[] | null;
  RepoDigests?: string[] | null;
  Size?: number;
  Labels?: Record<string, string> | null;
  Config?: { Labels?: Record<string, string> | null };
}

export async function imageIfThere(
  engine: Engine,
  reference: string,
  options?: CallOptions,
): Promise<Image | undefined> {
  const act = `look at image "${reference}"`;
  try {
    const { json } = await engine.call(
      { method: 'GET', path: `/images/${encodePath(reference)}/json`, act },
      options,
    );
    return parseImage(json as RawImage);
  } catch (error) {
    if (hasStatus(error, 404, 400)) return undefined;
    throw error;
  }
}

/** The smallest first. Those of nothing, which are made for one helper, come and go, and are not among them. */
export async function listImages(engine: Engine, options?: CallOptions): Promise<Image[]> {
  const { json } = await engine.call({ method: 'GET', path: '/images/json', act: 'list images' }, options);
  if (!Array.isArray(json)) throw new PkbackupError('failed', 'list images: Docker answered without a list');
  const images = json.map((raw) => parseImage(raw as RawImage));
  return images
    .filter(({ labels }) => labels[helperLabel] === undefined)
    .toSorted((a, b) => a.sizeBytes - b.sizeBytes);
}

/** Makes an image with nothing in it, for helpers on a machine that has none; gives its id. Remove it afterwards. */
export async function makeEmptyImage(engine: Engine, options: CallOptions = {}): Promise<string> {
  const act = 'make an empty image';
  using deadline = deadlineFor(act, options.deadlineMs ?? 30_000, options.signal);
  const directory = {
    path: Buffer.from('volume/'),
    type: 'directory',
    size: 0,
    mode: 0o755,
    uid: 0,
    gid: 0,
    mtime: 0,
  } as const;
  const body = Readable.from([Buffer.concat([encodeEntry(directory), endOfArchive])], { objectMode: false });
  const query = { fromSrc: '-', changes: `LABEL ${helperLabel}=1` };
  const answer = await engine.send(
    { method: 'POST', path: '/images/create', query, act },
    body,
    deadline.signal,
  );
  const parts: Buffer[] = [];
  for await (const part of readStream(engine, answer, { act, signal: deadline.signal, idleMs: undefined }))
    parts.push(part);
  const id = /"status":\s*"(sha256:[0-9a-f]{64})"/.exec(Buffer.concat(parts).toString('utf8'))?.[1];
  if (!id) throw new PkbackupError('failed', `${act}: Docker gave no id`);
  return id;
}

/** One more name for it. */
export async function tagImage(
  engine: Engine,
  id: string,
  { repository, tag }: { readonly repository: string; readonly tag: string },
  options?: CallOptions,
): Promise<void> {
  const request = {
    method: 'POST',
    path: `/images/${encodePath(id)}/tag`,
    act: `tag image "${id}"`,
  } as const;
  await engine.call({ ...request, query: { repo: repository, tag } }, options);
}

export async function removeImage(engine: Engine, id: string, options?: CallOptions): Promise<void> {
  try {
    const request = {
      method: 'DELETE',
      path: `/images/${encodePath(id)}`,
      act: `remove image "${id}"`,
    } as const;
    await engine.call(request, options);
  } catch (error) {
    if (!hasStatus(error, 404, 409)) throw error;
  }
}

/** References hold slashes that belong to the path. */
const encodePath = (reference: string) => reference.split('/').map(encodeURIComponent).join('/');

function parseImage(raw: RawImage): Image {
  return {
    id: raw.Id ?? '',
    tags: (raw.RepoTags ?? []).filter((tag) => tag !== '<none>:<none>'),
    digests: (raw.RepoDigests ?? []).filter((digest) => !digest.startsWith('<none>')),
    sizeBytes: raw.Size ?? 0,
    labels: raw.Config?.Labels ?? raw.Labels ?? {},
  };
}
