// A ChromaDB that is reached by its URL alone: no container, no volume. What is saved is what its API tells; the server goes on
// meanwhile, so each collection is of a moment of its own. docs/stores/chromadb.md says what that means.
import { z } from 'zod';
import { PkbackupError } from '../../errors.ts';
import { readSecret, type Secret } from '../../secret.ts';
import type {
  BackupFacts,
  Look,
  Restoration,
  RestoreState,
  ResumedRestore,
  Snapshot,
  StoreContext,
} from '../store.ts';
import { type ChromaApi, defaultPlace, openApi, type Place } from './api.ts';
import { exportCollections } from './export.ts';
import { placesKey } from './export-format.ts';
import { Http } from './http.ts';
import { type Beside, countsOf, ownOf, planRemoteRestore, resumeRemoteRestore } from './restore.ts';

/** The keys of a store that is reached by its URL. */
export const remoteKeys = {
  /** Of the server, without user, query and `/api`. */
  url: z
    .string()
    .regex(
      /^https?:\/\/[^/?#@]+(\/[^?#@]*)?$/,
      'expected a URL such as https://chroma.example.org:8000, without user, password and query',
    )
    .optional(),
  token_env: z.string().min(1).optional(),
  token_file: z.string().min(1).optional(),
  token_header: z.enum(['authorization', 'x-chroma-token']).optional(),
  /** Names of headers, and of the variables that hold their values. */
  headers_env: z.record(z.string().regex(/^[A-Za-z0-9-]+$/), z.string().min(1)).optional(),
  tenants: z.array(z.string().min(1)).min(1).optional(),
  /** Only these; all where it is missing. */
  databases: z.array(z.string().min(1)).min(1).optional(),
};

export const remoteSchema = z.object(remoteKeys);

/** Of `--to`; no setting, so that it passes by schema and journal: what it led to is in the state of the restore. */
const besideKey = Symbol('beside');

export type RemoteTarget = Omit<z.infer<typeof remoteSchema>, 'url'> & {
  readonly url: string;
  readonly [besideKey]?: Beside;
};

export function isRemote<Target extends { url?: string | undefined }>(
  target: Target | undefined,
): target is Target & { url: string } {
  return target?.url !== undefined;
}

/** Whether a backup was taken through the API; the other ones hold the files of a server. */
export const isOfApi = ({ source }: BackupFacts): boolean => source.url !== undefined;

export async function lookAtRemote(target: RemoteTarget, context: StoreContext): Promise<Look> {
  const api = await openApiAt(target, context);
  const places = await placesOf(api, target);
  const collections = [];
  for (const one of places) collections.push(...(await ownOf(api, one)));
  const counts = await countsOf(api, collections);
  const dimensions = collections.reduce((sum, { dimension = 0 }) => sum + dimension, 0);
  const perRecord = (dimensions / Math.max(1, collections.length)) * bytesPerNumber + bytesPerRecord;
  return {
    source: { url: api.url, one_moment: false },
    version: api.version,
    counts,
    databases: places.map(placesKey),
    estimatedBytes: Math.ceil((counts.records ?? 0) * perRecord),
    volumes: [],
    isEmpty: collections.length === 0,
  };
}

/** About, in an archive. */
const bytesPerNumber = 13;
const bytesPerRecord = 500;

export async function snapshotOfRemote(target: RemoteTarget, context: StoreContext): Promise<Snapshot> {
  const api = await openApiAt(target, context);
  const places = await placesOf(api, target);
  const collections = [];
  for (const one of places) {
    for (const collection of await ownOf(api, one)) collections.push({ collection });
  }
  const { emit, store } = context;
  const message = 'read through the API while the server goes on: each collection is of a moment of its own';
  if (!context.onPinned) emit({ type: 'step', store, message });
  return exportCollections(api, places, collections, context);
}

const forms = 'expected --to URL of another server, --to prefix:TEXT, or --to database:NAME';

/** Undefined where the text means a container or a volume. */
export function retargetRemote(target: RemoteTarget | undefined, to: string): RemoteTarget | undefined {
  if (/^https?:\/\//.test(to)) return elsewhere(target, to);
  const [, key, value] = /^(prefix|database):(.+)$/s.exec(to) ?? [];
  if (target === undefined) {
    if (key === undefined) return undefined;
    throw new PkbackupError('usage', `"${to}" does not say in which server: the store has no url`, {
      hint: forms,
    });
  }
  if (/^(container|volume):/.test(to)) return undefined;
  if (key === undefined) {
    throw new PkbackupError('usage', `"${to}" is no place that a ChromaDB by its URL has`, { hint: forms });
  }
  return { ...target, [besideKey]: { [key]: value } };
}

/** What we have to say who we are is for the server that it was given for. */
function elsewhere(target: RemoteTarget | undefined, to: string): RemoteTarget {
  const url = remoteKeys.url.safeParse(to).data;
  if (url === undefined) {
    throw new PkbackupError('usage', `"${to}" is no URL of a server`, {
      hint: 'expected one such as http://127.0.0.1:8000, without user, password and query',
    });
  }
  const isSame = target !== undefined && new URL(target.url).origin === new URL(url).origin;
  return { ...(isSame ? target : {}), url, [besideKey]: {} };
}

export async function planRestoreToRemote(
  target: RemoteTarget,
  backup: BackupFacts,
  isBeside: boolean,
  context: StoreContext,
): Promise<Restoration> {
  if (!isOfApi(backup)) {
    throw new PkbackupError(
      'restore_failed',
      `the backup holds the files of a ChromaDB server, which cannot go to "${target.url}" through its API`,
      {
        hint: 'restore it into a volume (--to volume:NAME) or a container (--to container:NAME) on this machine',
      },
    );
  }
  const api = await openApiAt(target, context);
  refuseOlder(api, backup);
  return planRemoteRestore({ api, backup, isBeside, beside: target[besideKey] ?? {}, context });
}

export async function resumeRestoreToRemote(
  target: RemoteTarget,
  state: RestoreState,
  backup: BackupFacts,
  context: StoreContext,
): Promise<ResumedRestore> {
  const api = await openApiAt(target, context);
  return resumeRemoteRestore({ api, backup, isBeside: false, beside: {}, context }, state);
}

/** A backup of the API goes to a server, not to its files. */
export function refuseFilesFor(backup: BackupFacts): void {
  if (!isOfApi(backup)) return;
  throw new PkbackupError(
    'restore_failed',
    'the backup was taken through the API of a ChromaDB, so it cannot become the files in a volume',
    {
      hint: 'restore it into a running server: --to http://127.0.0.1:8000 (where that publishes its port), or url in pkbackup.yaml',
    },
  );
}

export async function openApiAt(target: RemoteTarget, context: StoreContext): Promise<ChromaApi> {
  const headers = await headersOf(target, context);
  return openApi(new Http({ url: target.url, headers, signal: context.signal }));
}

async function headersOf(
  { token_env, token_file, token_header, headers_env = {} }: RemoteTarget,
  { environment }: StoreContext,
): Promise<Map<string, Secret>> {
  const headers = new Map<string, Secret>();
  const token = await readSecret({ env: token_env, file: token_file }, environment);
  if (token) {
    const name = token_header ?? 'authorization';
    headers.set(name, name === 'authorization' ? token.prefixed('Bearer ') : token);
  }
  for (const [name, env] of Object.entries(headers_env)) {
    const value = await readSecret({ env }, environment);
    if (value) headers.set(name.toLowerCase(), value);
  }
  return headers;
}

/** Throws `not_found`. */
async function placesOf(api: ChromaApi, { tenants, databases: wanted }: RemoteTarget): Promise<Place[]> {
  const places: Place[] = [];
  for (const tenant of tenants ?? [await api.ownTenant()]) {
    const listed = await api.databases(tenant);
    const databases = listed ?? wanted ?? [defaultPlace.database];
    if (listed?.length === 0 && tenants) {
      throw new PkbackupError('not_found', `tenant "${tenant}" has no databases at "${api.url}"`, {
        hint: 'check tenants of this store',
      });
    }
    for (const database of databases.filter((name) => wanted?.includes(name) ?? true)) {
      places.push({ tenant, database });
    }
  }
  for (const database of wanted ?? []) await refuseMissing(api, places, database);
  return places.sort((a, b) => (placesKey(a) < placesKey(b) ? -1 : 1));
}

async function refuseMissing(api: ChromaApi, places: readonly Place[], database: string): Promise<void> {
  for (const one of places) if (one.database === database && (await api.hasDatabase(one))) return;
  throw new PkbackupError('not_found', `there is no database "${database}" at "${api.url}"`, {
    hint: 'check databases and tenants of this store',
  });
}

/** By the line: all of 1.x say the same. */
function refuseOlder(api: ChromaApi, { storeVersion }: BackupFacts): void {
  if (storeVersion === undefined || isOlderLine(storeVersion, api.version) === false) return;
  throw new PkbackupError(
    'restore_failed',
    `the backup is of ChromaDB ${storeVersion}, the server at "${api.url}" is ${api.version}`,
    { hint: 'restore into a server of the same version or a newer one' },
  );
}

function isOlderLine(backup: string, server: string): boolean {
  const [a = [], b = []] = [backup, server].map((version) => version.split('.').map(Number));
  const [major = 0, minor = 0] = a;
  const [ownMajor = 0, ownMinor = 0] = b;
  return ownMajor < major || (ownMajor === major && ownMinor < minor);
}
