// Restoring into a volume: staged inside it while the store runs, swapped by renaming, undone by renaming back. Shared by
// the stores whose data is a volume. What only a database knows (counts, health) is the store's own.
import { randomBytes } from 'node:crypto';
import { basename, dirname, join, relative } from 'node:path/posix';
import { z } from 'zod';
import type { TarEntry } from '../archive/tar-format.ts';
import type { Docker, Helper, PreparedRun } from '../docker/index.ts';
import { messageOf, PkbackupError } from '../errors.ts';
import { hostPathFor, openDirectory } from './direct-read.ts';
import { diskIn, freeSpaceCommand, littleSpace } from './free-space.ts';
import { flushFileSystem } from './host-tools.ts';
import { wouldMoveRepository } from './own-repository.ts';
import { printTree } from './print-tree.ts';
import { directoryEntry, type PieceWatcher, type StagedTar, stageBelow } from './staged-tar.ts';
import { stagingProgress } from './staging-progress.ts';
import type {
  Content,
  Restoration,
  RestorePlan,
  RestoreState,
  ResumedRestore,
  Snapshot,
  StoreContext,
} from './store.ts';
import { printTar, type TreePrint } from './tree-print.ts';
import { CopiedRestoration } from './volume-copy.ts';
import {
  dataPath,
  describePlace,
  extentOf,
  imagesFor,
  isHostPath,
  lookInto,
  mountPoint,
  openHelper,
  ownPrefix,
  type Place,
  type PlaceExtent,
  type PlaceFacts,
  readPlace,
  repositoryIn,
} from './volume-place.ts';
import { decodeRoot, encodeRoot, oneEntry, setRoot } from './volume-root.ts';
import { describeSetup, makeEmptyVolume, refuseSetup, type VolumeSetup } from './volume-setup.ts';
import { prepareStep, refuseFailure, runStep, withShell } from './volume-steps.ts';

export interface VolumeRestoreOptions {
  readonly docker: Docker;
  readonly place: Place;
  readonly context: StoreContext;
  /** Refuses a place that holds anything. */
  readonly beside: boolean;
  /** In the volume, beside the present data. */
  readonly neededBytes?: number | undefined;
  /** For a volume that is missing. */
  readonly setup?: VolumeSetup;
  readonly takesVolumeOptions?: boolean | undefined;
  readonly watcher?: PieceWatcher;
  /** More bytes of content than this are refused; where it is missing, none are. */
  readonly limitBytes?: number | undefined;
}

export type VolumeRestoration = Omit<Restoration, 'check'>;

/** Looks only. Throws where the restore cannot be done. */
export async function planVolumeRestore(options: VolumeRestoreOptions): Promise<VolumeRestoration> {
  const { docker, context, beside } = options;
  const { signal } = context;
  const renaming = await withShell(docker, options.place, signal);
  const place = renaming ?? options.place;
  const volume = isHostPath(place.source) ? undefined : await docker.volume(place.source, { signal });
  const isThere = volume !== undefined || isHostPath(place.source);
  const { setup = {}, takesVolumeOptions = false } = options;
  if (!isThere) refuseSetup(place.source, setup, takesVolumeOptions);
  const present = isThere ? await lookAtPresent(docker, place, context) : undefined;
  if (beside && present && !present.isEmpty) throw notEmpty(place);
  const replaces = present !== undefined && !present.isEmpty;
  if ((await repositoryIn(place, context.repositoryDir)) !== undefined)
    throw wouldMoveRepository(describePlace(place), context);
  const freeBytes = isThere && renaming ? await freeBytesOn(docker, place, signal) : undefined;
  const presentBytes = replaces ? present.estimatedBytes : undefined;
  const plan: RestorePlan = {
    target: describePlace(place),
    replaces,
    volumes: [place.source],
    ...(isThere ? {} : { makes: describeSetup(place.source, setup) }),
    ...(presentBytes === undefined ? {} : { presentBytes }),
    ...(options.neededBytes === undefined ? {} : { neededBytes: options.neededBytes }),
    ...(freeBytes === undefined ? {} : { freeBytes }),
  };
  if (!renaming) tellOfCopies(place, context);
  const made = {
    id: randomBytes(4).toString('hex'),
    source: place.source,
    directory: place.directory,
    makesVolume: !isThere,
    replaces,
    ...(present ? { root: encodeRoot(present.root) } : {}),
    ...(renaming ? {} : { copies: true }),
  };
  const named = { ...plan, restoreId: made.id };
  return renaming
    ? new StagedRestoration({ ...options, place }, named, made)
    : new CopiedRestoration({ ...options, place }, named, made);
}

function tellOfCopies(place: Place, { emit, store }: StoreContext): void {
  emit({
    type: 'warning',
    store,
    message: `no image at hand has a shell, so nothing can be renamed in ${describePlace(place)}: the present data is copied aside and the restored into its place, and who uses it is stopped for as long as that takes`,
    hint: 'load any small image that has sh, mv and rm (docker pull busybox) to make it a matter of seconds',
  });
}

/** For `Store.resumeRestore`. */
export async function resumeVolumeRestore(
  state: RestoreState,
  context: StoreContext,
): Promise<ResumedRestore> {
  const made = madeSchema.parse(state);
  const { id, source, directory, replaces, copies } = made;
  const docker = await context.docker();
  const images = await imagesFor(docker, source, undefined, context.signal);
  const known = { source, directory, images };
  const plan = { target: describePlace(known), replaces, volumes: [source], restoreId: id };
  if (copies) return new CopiedRestoration({ docker, place: known, context }, plan, made);
  const place = await withShell(docker, known, context.signal);
  if (!place) throw noShell(known);
  return new StagedRestoration({ docker, place, context }, plan, made, { isResumed: true });
}

/** What the restore has made or will make, and what it needs to go back. */
const madeSchema = z.object({
  /** Part of all names in the volume, and a label of all helpers. */
  id: z.string().regex(/^[0-9a-f]{8}$/),
  source: z.string().min(1),
  directory: z.string(),
  makesVolume: z.boolean(),
  replaces: z.boolean(),
  /** The header of the data's directory as it was before, in base64; missing where there was none. */
  root: z.base64().optional(),
  /** Without renaming; see volume-copy.ts. */
  copies: z.boolean().optional(),
});

export type Made = z.infer<typeof madeSchema>;

async function lookAtPresent(
  docker: Docker,
  place: Place,
  context: StoreContext,
): Promise<(PlaceFacts & PlaceExtent) | undefined> {
  const { signal } = context;
  await using helper = await openHelper(docker, place, { isReadOnly: true, signal });
  if (!(await docker.pathStat(helper.id, dataPath(place), { signal }))) return undefined;
  const facts = await lookInto(docker, helper, dataPath(place), signal);
  return facts.isEmpty ? facts : { ...facts, ...(await extentOf(docker, place, helper, context)) };
}

/** By `df` in a helper, because only that sees the volume's own file system; undefined where it is not in the image. */
async function freeBytesOn(docker: Docker, place: Place, signal: AbortSignal): Promise<number | undefined> {
  const [image = ''] = place.images;
  const mounts = [{ source: place.source, target: mountPoint, isReadOnly: true }];
  return diskIn(await docker.run({ image, mounts, command: freeSpaceCommand(mountPoint), signal }))
    ?.freeBytes;
}

export type StagedOptions = Pick<
  VolumeRestoreOptions,
  'docker' | 'place' | 'context' | 'setup' | 'watcher' | 'limitBytes'
>;

class StagedRestoration implements VolumeRestoration {
  readonly plan: RestorePlan;
  readonly state: Made;
  readonly #options: StagedOptions;
  /** Known to be there, or perhaps. */
  #madeVolume: boolean;
  #stagedRoot: TarEntry | undefined;
  #swap: PreparedRun | undefined;

  constructor(options: StagedOptions, plan: RestorePlan, made: Made, { isResumed = false } = {}) {
    this.#options = options;
    this.plan = plan;
    this.state = made;
    this.#madeVolume = isResumed && made.makesVolume;
  }

  /** What was written before a failure is removed by `rollback`. */
  async stage(content: Content): Promise<void> {
    const { docker, place, context } = this.#options;
    const { signal, readsDirectly } = context;
    await this.#makeVolume();
    if (this.#madeVolume) await this.#refuseLittleSpace();
    await this.#removeStaged();
    await using helper = await this.#openHelper(false, signal);
    const isCaseSensitive = await this.#makeStaged(helper.id, signal);
    const staged = this.#stageBelow(content, isCaseSensitive);
    await docker.writeArchive(helper.id, '/', staged.tar, { signal }).catch((error: unknown) => {
      throw isFull(error) ? noSpaceLeft(error) : error;
    });
    this.#stagedRoot = staged.root();
    const hostPath = readsDirectly ? await hostPathFor(docker, helper, place, signal) : undefined;
    this.#compare(staged.print, await this.#printStaged(helper, hostPath));
    await this.#makePart(helper.id);
    const stagedPath = hostPath && join(hostPath, relative(mountPoint, this.#stagedPath));
    if (stagedPath === undefined || !(await flushFileSystem(stagedPath)))
      await runStep(docker, place, 'flush', this.state.id);
    this.#swap = await prepareStep(docker, place, 'swap', this.state.id);
  }

  #stageBelow(content: Content, isCaseSensitive: boolean): StagedTar {
    const { context, watcher, limitBytes } = this.#options;
    return stageBelow(this.#stagedPath, content.tar(), {
      isCaseSensitive,
      watcher,
      limitBytes,
      onBytes: stagingProgress(context, this.plan.neededBytes),
    });
  }

  async swap(): Promise<void> {
    const { docker, place } = this.#options;
    await using swap = this.#swap ?? (await prepareStep(docker, place, 'swap', this.state.id));
    this.#swap = undefined;
    refuseFailure(await swap.run(), place, 'swap');
    // Through the same container, now that it has ended: another one would take time.
    if (this.#stagedRoot) await setRoot(docker, place, swap.id, this.#stagedRoot);
  }

  async rollback(): Promise<void> {
    await this.#clearHelpers();
    if (!(await this.#isThere())) return;
    await this.#rollBack();
    if (this.#madeVolume) await this.#removeVolume();
    this.#madeVolume = false;
  }

  async #rollBack(): Promise<void> {
    const { docker, place } = this.#options;
    await using run = await prepareStep(docker, place, 'rollback', this.state.id);
    refuseFailure(await run.run(), place, 'rollback');
    const root = decodeRoot(this.state.root);
    if (root) await setRoot(docker, place, run.id, root);
  }

  async previous(): Promise<Snapshot | undefined> {
    if (!this.plan.replaces) return undefined;
    const { docker, place, context } = this.#options;
    const path = `${place.directory}/${ownPrefix}previous-${this.state.id}`.replace(/^\//, '');
    return readPlace(
      docker,
      { ...place, directory: path },
      { signal: context.signal, restoreId: this.state.id, onDevice: () => undefined },
    );
  }

  async discard(): Promise<void> {
    const { docker, place } = this.#options;
    await this.#clearHelpers();
    if (!(await this.#isThere())) return;
    await using run = await prepareStep(docker, place, 'discard', this.state.id);
    const { root } = await lookInto(docker, run, dataPath(place));
    refuseFailure(await run.run(), place, 'discard');
    // Removing our directory has touched the time of the root.
    await setRoot(docker, place, run.id, root);
  }

  /** Those of a process that is dead, too: a step that it began goes on without it. */
  async #clearHelpers(): Promise<void> {
    this.#swap = undefined;
    await this.#options.docker.clearHelpers(this.state.id, { waits: false });
  }

  /** A mount would make a volume that is missing. */
  async #isThere(): Promise<boolean> {
    const { docker, place } = this.#options;
    return isHostPath(place.source) || (await docker.volume(place.source)) !== undefined;
  }

  /** Somebody else may use it by now, and have put something into it. */
  async #removeVolume(): Promise<void> {
    const { docker, place } = this.#options;
    if (!(await this.#isEmpty())) return;
    if ((await docker.containersOf(place.source)).length === 0) await docker.removeVolume(place.source);
  }

  async #isEmpty(): Promise<boolean> {
    const { docker, place } = this.#options;
    await using helper = await this.#openHelper(true);
    const present = await docker.pathStat(helper.id, dataPath(place));
    return !present || (await lookInto(docker, helper, dataPath(place))).isEmpty;
  }

  #openHelper(isReadOnly: boolean, signal?: AbortSignal): Promise<Helper> {
    const { docker, place } = this.#options;
    const restoreId = this.state.id;
    return openHelper(docker, place, { isReadOnly, restoreId, ...(signal ? { signal } : {}) });
  }

  get #stagedPath(): string {
    return `${dataPath(this.#options.place)}/${ownPrefix}staged-${this.state.id}`;
  }

  async #makeVolume(): Promise<void> {
    const { docker, place, context, setup } = this.#options;
    if (!this.state.makesVolume || this.#madeVolume) return;
    this.#madeVolume = true;
    await makeEmptyVolume(docker, place, setup, context.signal);
  }

  /** Before it was made nobody could tell. */
  async #refuseLittleSpace(): Promise<void> {
    const { docker, place, context } = this.#options;
    const little = littleSpace(this.plan.neededBytes, await freeBytesOn(docker, place, context.signal));
    if (little !== undefined) throw new PkbackupError('restore_failed', little, { hint: 'make room there' });
  }

  /** Of an earlier call. */
  async #removeStaged(): Promise<void> {
    const { docker, place, context } = this.#options;
    await this.#swap?.remove();
    this.#swap = undefined;
    await using helper = await this.#openHelper(true, context.signal);
    const stat = await docker.pathStat(helper.id, this.#stagedPath, { signal: context.signal });
    if (stat) await runStep(docker, place, 'rollback', this.state.id);
  }

  /** Gives whether the place tells names apart that differ in their case only. */
  async #makeStaged(helperId: string, signal: AbortSignal): Promise<boolean> {
    const { docker } = this.#options;
    const path = this.#stagedPath;
    await docker.writeArchive(helperId, '/', oneEntry(directoryEntry(`${path.slice(1)}/`, 0o700)), {
      signal,
    });
    const other = `${dirname(path)}/${basename(path).toUpperCase()}`;
    return (await docker.pathStat(helperId, other, { signal })) === undefined;
  }

  /** Status 200 proves nothing: what was written is read back, all of it. */
  async #printStaged(helper: Helper, hostPath: string | undefined): Promise<TreePrint> {
    const { docker, context } = this.#options;
    const { signal } = context;
    await using staged = await openDirectory(hostPath, relative(mountPoint, this.#stagedPath));
    return staged
      ? await printTree(staged.path, signal)
      : await printTar(docker.readArchive(helper.id, `${this.#stagedPath}/.`, { signal }));
  }

  #compare(sent: TreePrint, arrived: TreePrint): void {
    const { place, context } = this.#options;
    const differences = sent.differences(arrived);
    if (differences.includes('names') || differences.includes('contents')) {
      throw new PkbackupError(
        'restore_failed',
        `what was staged in ${describePlace(place)} is not what was sent: expected ${sent.entries} entries with ${sent.bytes} bytes, got ${arrived.entries} with ${arrived.bytes} (${differences.join(', ')} differ)`,
      );
    }
    if (differences.length > 0) {
      context.emit({
        type: 'warning',
        store: context.store,
        message: `${describePlace(place)} does not keep owners, modes or times as the backup has them`,
      });
    }
  }

  /** Where the present entries go; it carries the owner and mode of the root, for whoever has to go back. */
  async #makePart(helperId: string): Promise<void> {
    const root = decodeRoot(this.state.root);
    if (!root) return;
    const { docker, place } = this.#options;
    const path = `${dataPath(place)}/${ownPrefix}previous-${this.state.id}.part/`;
    await docker.writeArchive(helperId, '/', oneEntry({ ...root, path: Buffer.from(path.slice(1)) }));
  }
}

const isFull = (error: unknown): boolean => /no space left on device|quota exceeded/i.test(messageOf(error));

function noSpaceLeft(cause: unknown): PkbackupError {
  return new PkbackupError('restore_failed', 'no space is left for what is staged', {
    hint: 'make room there, or restore elsewhere with --to',
    cause,
  });
}

function notEmpty(place: Place): PkbackupError {
  return new PkbackupError('restore_failed', `${describePlace(place)} is not empty; nothing was restored`, {
    hint: 'name another one with --to, or restore without --to to replace the present data',
  });
}

function noShell(place: Place): PkbackupError {
  return new PkbackupError(
    'restore_failed',
    `no image on this machine has a shell, and one is needed to swap the data of ${describePlace(place)}`,
    { hint: 'load any small image that has sh, mv and rm (docker pull busybox), and try again' },
  );
}
