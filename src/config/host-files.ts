// What containers keep on this machine, beside volumes: databases and directories that are mounted into them. Only looked
// for by `init`, whose result a person reads; never followed by itself.
import { lstat, readdir } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { type Container, composeProject, composeService } from '../docker/index.ts';
import { stores } from '../stores/index.ts';
import type { FoundStore } from './found-stores.ts';
import { storeNameFrom } from './store-names.ts';

const mostDepth = 4;
const mostEntries = 5000;
/** Of the machine, not of an application. */
const ofTheSystem = /^\/(proc|sys|dev|run|var\/run|etc|usr|bin|sbin|lib|boot|var\/lib\/docker)(\/|$)|^\/$/;
const notSearched = new Set(['node_modules', '.git', '__pycache__', '.venv']);

export interface FoundOnHost {
  /** Database files. */
  readonly stores: readonly FoundStore[];
  /** Directories in which there is none. */
  readonly offers: readonly FoundStore[];
}

/** `leftOut` are directories that are never looked into: the repository. */
export async function findOnHost(
  containers: readonly Container[],
  { leftOut, signal }: { leftOut: readonly string[]; signal: AbortSignal },
): Promise<FoundOnHost> {
  const found = { stores: [] as FoundStore[], offers: [] as FoundStore[] };
  for (const place of placesOf(containers)) {
    if (leftOut.includes(place.path)) continue;
    const stat = await lstat(place.path).catch(() => undefined);
    const files = stat?.isDirectory() ? await filesIn(place.path, leftOut, signal) : [place.path];
    const databases = stat === undefined ? [] : await recognised(stat.isSymbolicLink() ? [] : files, place);
    found.stores.push(...databases);
    if (stat?.isDirectory() && databases.length === 0) found.offers.push(asDirectory(place));
  }
  return found;
}

interface HostPlace {
  readonly path: string;
  /** `mounted by "app" at /data` */
  readonly description: string;
  readonly project: string | undefined;
}

/** Each path once; what is only read there is made elsewhere. */
function placesOf(containers: readonly Container[]): HostPlace[] {
  const mounts = containers.flatMap((container) =>
    container.mounts
      .filter(({ type, isReadOnly, source }) => type === 'bind' && !isReadOnly && !ofTheSystem.test(source))
      .map(({ source, destination }) => ({ source, destination, container })),
  );
  return [...Map.groupBy(mounts, ({ source }) => source)].map(([path, users]) => {
    const by = users.map(({ container, destination }) => {
      return `by "${composeService(container) ?? container.name}" at ${destination}`;
    });
    const project = users.map(({ container }) => composeProject(container)).find(Boolean);
    return { path, description: `mounted ${by.join(', ')}`, project };
  });
}

async function filesIn(root: string, leftOut: readonly string[], signal: AbortSignal): Promise<string[]> {
  const files: string[] = [];
  let seen = 0;
  const walk = async (directory: string, depth: number): Promise<void> => {
    const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      signal.throwIfAborted();
      if (++seen > mostEntries) return;
      const path = join(directory, entry.name);
      if (entry.isFile()) files.push(path);
      const isSearched = entry.isDirectory() && !notSearched.has(entry.name) && !leftOut.includes(path);
      if (isSearched && depth < mostDepth) await walk(path, depth + 1);
    }
  };
  await walk(root, 1);
  return files;
}

async function recognised(files: readonly string[], place: HostPlace): Promise<FoundStore[]> {
  const found: FoundStore[] = [];
  for (const path of files) {
    for (const { kind, recogniseFile } of stores) {
      const target = await recogniseFile?.(path).catch(() => undefined);
      if (target === undefined) continue;
      const name = storeNameFrom(basename(path, extname(path)));
      found.push({ ...described(place), name, kind, target, path });
      break;
    }
  }
  return found;
}

function asDirectory(place: HostPlace): FoundStore {
  const { path } = place;
  const name = storeNameFrom(basename(path));
  return { ...described(place), name, kind: 'directory', target: { path }, path };
}

function described({ path, description, project }: HostPlace): Omit<FoundStore, 'name' | 'kind' | 'target'> {
  return {
    origin: `"${path}"`,
    description,
    clients: [],
    ...(project !== undefined && { project }),
  };
}
