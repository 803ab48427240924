// A restore through the API: every collection is written beside under a name of ours and read again there; then the present
// ones are set aside and the new ones put into their place, by renaming. Collections that are not in the backup stay.
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { PkbackupError } from '../../errors.ts';
import type { Counts } from '../../words.ts';
import type {
  BackupFacts,
  Content,
  Restoration,
  RestorePlan,
  RestoreState,
  ResumedRestore,
  Snapshot,
  StoreContext,
} from '../store.ts';
import type { ChromaApi, Place, RemoteCollection } from './api.ts';
import { BatchWriter } from './batch-writer.ts';
import { CollectionTally, differencesFrom } from './check-export.ts';
import { exportCollections, isOwnName, type ToExport } from './export.ts';
import { placeIn, placesKey, readExport, recordOf } from './export-format.ts';
import { named } from './http.ts';
import { makeCollection } from './make-collection.ts';
import { readBack, type VectorSamples } from './read-back.ts';

/** Where it goes, other than to where it was. */
export interface Beside {
  /** Before every name. */
  readonly prefix?: string;
  /** Instead of the database that it was in. */
  readonly database?: string;
}

interface Options {
  readonly api: ChromaApi;
  readonly backup: BackupFacts;
  readonly isBeside: boolean;
  readonly beside: Beside;
  readonly context: StoreContext;
}

const place = z.object({ tenant: z.string().min(1), database: z.string().min(1) });

const stateSchema = z.object({
  restoreId: z.string().regex(/^[0-9a-f]{8}$/),
  places: z.array(place),
  /** Databases that this restore makes. */
  made: z.array(place),
  /** What was staged, and goes under `name`. */
  staged: z.array(place.extend({ name: z.string().min(1), id: z.string().min(1) })),
});

type State = z.infer<typeof stateSchema>;
type Staged = State['staged'][number];

export async function planRemoteRestore(options: Options): Promise<Restoration> {
  const { api, backup, isBeside, beside } = options;
  const places = placesFor(backup, beside);
  const made: Place[] = [];
  const present: RemoteCollection[] = [];
  for (const one of places) {
    if (await api.hasDatabase(one)) present.push(...(await ownOf(api, one)));
    else made.push(one);
  }
  const inTheWay = present.filter(({ name }) => name.startsWith(beside.prefix ?? ''));
  if (isBeside) refuseFull(api, inTheWay, beside);
  const plan: RestorePlan = {
    target: describe(api, places, beside),
    replaces: !isBeside && present.length > 0,
    volumes: [],
    ...(!isBeside && present.length > 0 ? { presentCounts: await countsOf(api, present) } : {}),
  };
  const state = { restoreId: randomBytes(4).toString('hex'), places, made, staged: [] };
  return new RemoteRestoration(options, plan, state);
}

/** Throws where the state is of no restore through the API. */
export function resumeRemoteRestore(options: Options, state: RestoreState): ResumedRestore {
  const known = stateSchema.parse(state);
  const plan = { target: describe(options.api, known.places, {}), replaces: true, volumes: [] };
  return new RemoteRestoration(options, plan, known);
}

class RemoteRestoration implements Restoration {
  readonly plan: RestorePlan;
  readonly #options: Options;
  readonly #api: ChromaApi;
  readonly #state: State;
  readonly #tallies: { readonly tally: CollectionTally; readonly samples: VectorSamples }[] = [];

  constructor(options: Options, plan: RestorePlan, state: State) {
    this.#options = options;
    this.#api = options.api;
    this.plan = plan;
    this.#state = state;
  }

  get state(): RestoreState {
    return { ...this.#state };
  }

  async stage(content: Content): Promise<void> {
    const { signal } = this.#options.context;
    for (const one of this.#state.made) await this.#api.makeDatabase(one);
    const most = await this.#api.mostAtOnce();
    let writer: BatchWriter | undefined;
    for await (const piece of readExport(content.tar())) {
      signal.throwIfAborted();
      if (piece.type === 'record') {
        await writer?.write(recordOf(piece.line));
        continue;
      }
      await writer?.end();
      if (piece.type === 'collection') writer = await this.#begin(piece.collection, piece.file, most);
      else
        this.#refuseOther(
          differencesFrom(
            piece.manifest,
            this.#tallies.map(({ tally }) => tally),
          ),
        );
    }
    await this.#tellWhatStays();
  }

  async #begin(original: RemoteCollection, file: string, most: number | undefined): Promise<BatchWriter> {
    const { beside, context } = this.#options;
    const { staged, restoreId } = this.#state;
    const goesTo = placeOf(original, beside);
    if (!this.#state.places.some((one) => placesKey(one) === placesKey(goesTo))) {
      throw new PkbackupError('bad_backup', `its metadata does not name database "${original.database}"`);
    }
    const name = `${beside.prefix ?? ''}${original.name}`;
    refuseLongName(name, this.#api);
    const stagedName = `pkbackup-staged-${restoreId}-${staged.length}`;
    const { collection, note } = await makeCollection(this.#api, original, goesTo, stagedName);
    const { emit, store } = context;
    emit({ type: 'step', store, message: `writing collection "${name}"` });
    if (note !== undefined) emit({ type: 'warning', store, message: note });
    staged.push({ ...goesTo, name, id: collection.id });
    const tally = new CollectionTally(original, file);
    const writer = new BatchWriter(this.#api, collection, tally, most);
    this.#tallies.push({ tally, samples: writer.samples });
    return writer;
  }

  #refuseOther([difference]: readonly string[]): void {
    if (difference !== undefined) throw new PkbackupError('bad_backup', difference);
  }

  async #tellWhatStays(): Promise<void> {
    if (this.#options.isBeside) return;
    const names = new Set(this.#state.staged.map(keyOf));
    const others: string[] = [];
    for (const one of this.#state.places) {
      const there = await ownOf(this.#api, one);
      others.push(...there.filter((each) => !names.has(keyOf(each))).map(({ name }) => `"${name}"`));
    }
    if (others.length === 0) return;
    const message = `not in the backup, and left as they are: ${others.slice(0, 5).join(', ')}${others.length > 5 ? ' ...' : ''}`;
    const { emit, store } = this.#options.context;
    emit({ type: 'step', store, message });
  }

  async swap(): Promise<void> {
    const there = await this.#present();
    for (const [index, staged] of this.#state.staged.entries()) {
      const present = there.find((each) => keyOf(each) === keyOf(staged));
      if (present?.id === staged.id) continue;
      const waiting = there.find(({ id }) => id === staged.id);
      if (!waiting) throw new PkbackupError('restore_failed', `what was staged of "${staged.name}" is gone`);
      if (present) {
        if (this.#options.isBeside) throw full(this.#api, present);
        await this.#api.rename(present, this.#previousName(index));
      }
      await this.#api.rename(waiting, staged.name);
    }
  }

  async check(): Promise<Counts> {
    const there = await this.#present();
    const counts = { collections: 0, records: 0 };
    for (const [index, { tally, samples }] of this.#tallies.entries()) {
      const staged = this.#state.staged[index];
      const collection = there.find((each) => each.id === staged?.id);
      if (!collection || !staged || collection.name !== staged.name) {
        throw new PkbackupError('restore_failed', `collection "${staged?.name}" is not there`);
      }
      await readBack(this.#api, collection, tally, samples);
      counts.collections += 1;
      counts.records += tally.records;
    }
    return counts;
  }

  async rollback(): Promise<void> {
    const api = this.#api.uninterrupted();
    const there = await this.#present(api);
    const ours = new Set(this.#state.staged.map(({ id }) => id));
    for (const each of there) {
      const isStaged = ours.has(each.id) || each.name.startsWith(`pkbackup-staged-${this.#state.restoreId}-`);
      if (isStaged) await api.remove(each);
    }
    for (const { collection, name } of this.#previousAmong(there)) {
      if (there.some((each) => !ours.has(each.id) && keyOf(each) === keyOf({ ...collection, name }))) {
        throw new PkbackupError('failed', `somebody has made another collection "${name}" meanwhile`, {
          hint: `rename or remove it; the previous one is "${collection.name}"`,
        });
      }
      await api.rename(collection, name);
    }
    for (const one of this.#state.made) {
      if ((await api.collections(one)).length === 0) await api.removeDatabase(one);
    }
  }

  async previous(): Promise<Snapshot | undefined> {
    const found = this.#previousAmong(await this.#present());
    if (found.length === 0) return undefined;
    return exportCollections(this.#api, this.#state.places, found, this.#options.context, { isPart: true });
  }

  async discard(): Promise<void> {
    for (const { collection } of this.#previousAmong(await this.#present()))
      await this.#api.remove(collection);
  }

  #previousName(index: number): string {
    return `pkbackup-previous-${this.#state.restoreId}-${index}`;
  }

  #previousAmong(there: readonly RemoteCollection[]): (ToExport & { readonly name: string })[] {
    return this.#state.staged.flatMap((staged, index) => {
      const key = keyOf({ ...staged, name: this.#previousName(index) });
      const collection = there.find((each) => keyOf(each) === key);
      return collection ? [{ collection, name: staged.name }] : [];
    });
  }

  async #present(api = this.#api): Promise<RemoteCollection[]> {
    const all: RemoteCollection[] = [];
    for (const one of this.#state.places) all.push(...(await api.collections(one)));
    return all;
  }
}

const keyOf = ({ tenant, database, name }: Pick<Staged, 'tenant' | 'database' | 'name'>): string =>
  `${placesKey({ tenant, database })}/${name}`;

const placeOf = ({ tenant, database }: Place, beside: Beside): Place => ({
  tenant,
  database: beside.database ?? database,
});

/** Without what restores have made or set aside. */
export async function ownOf(api: ChromaApi, one: Place): Promise<RemoteCollection[]> {
  return (await api.collections(one)).filter(({ name }) => !isOwnName(name));
}

export async function countsOf(api: ChromaApi, collections: readonly RemoteCollection[]): Promise<Counts> {
  let records = 0;
  for (const collection of collections) records += (await api.count(collection)) ?? 0;
  return { collections: collections.length, records };
}

function placesFor({ databases = [] }: BackupFacts, beside: Beside): Place[] {
  const inBackup = databases.flatMap((key) => placeIn(key) ?? []);
  if (beside.database !== undefined && inBackup.length > 1) {
    const names = inBackup.map(({ database }) => `"${database}"`).join(', ');
    throw new PkbackupError('usage', `the backup has several databases (${names}), which cannot become one`, {
      hint: 'restore it under a prefix (--to prefix:TEXT) or into another server (--to URL)',
    });
  }
  return inBackup.map((one) => placeOf(one, beside));
}

function describe({ url }: ChromaApi, places: readonly Place[], { prefix }: Beside): string {
  const names = places.map(({ database }) => `"${database}"`).join(', ');
  const where = `${places.length === 1 ? 'database' : 'databases'} ${names} of ${named(url)}`;
  return prefix === undefined ? where : `collections "${prefix}..." in ${where}`;
}

function refuseFull(api: ChromaApi, [present]: readonly RemoteCollection[], beside: Beside): void {
  if (!present) return;
  throw full(api, present, beside.prefix === undefined ? 'an empty database' : 'another prefix');
}

const full = ({ url }: ChromaApi, { name, database }: RemoteCollection, hint = 'a place where nothing is') =>
  new PkbackupError(
    'restore_failed',
    `collection "${name}" is there already in database "${database}" of ${named(url)}; nothing was restored`,
    { hint: `name ${hint} with --to` },
  );

const longestName = { old: 63, new: 512 };

function refuseLongName(name: string, { version }: ChromaApi): void {
  const longest = version.startsWith('0.') ? longestName.old : longestName.new;
  if (Buffer.byteLength(name) <= longest) return;
  throw new PkbackupError(
    'restore_failed',
    `the name "${name}" is too long for the server: at most ${longest}`,
  );
}
