// Restoring into a volume where no image at hand can run a process, so that nothing can be renamed in there. The content is
// staged in a volume aside, the present data is copied there too, and then the place is emptied and filled: all of it
// through the archive endpoint, while those who use the data are stopped. Slow, and said; undone by copying back.

import { bytePartsOf } from '../archive/entry-guard.ts';
import { encodeEntry, endOfArchive, padding, type TarEntry } from '../archive/tar-format.ts';
import { scanTar } from '../archive/tar-scan.ts';
import { asideLabel, type Docker, EngineStatusError, type Helper } from '../docker/index.ts';
import { PkbackupError } from '../errors.ts';
import { directoryEntry, entryBelow, stageBelow } from './staged-tar.ts';
import type { Content, RestorePlan, Snapshot } from './store.ts';
import { printTar, TreePrint } from './tree-print.ts';
import {
  dataPath,
  describePlace,
  mountPoint,
  openHelper,
  ownPrefix,
  type Place,
  readPlace,
} from './volume-place.ts';
import type { Made, StagedOptions, VolumeRestoration } from './volume-restore.ts';
import { decodeRoot, oneEntry, setRoot } from './volume-root.ts';
import { makeEmptyVolume } from './volume-setup.ts';

const stagedPath = `${mountPoint}/staged`;
const previousPath = `${mountPoint}/previous`;
/** Beside the copy of the present data: from then on the place itself may be anything. */
const donePath = `${previousPath}.done`;

export class CopiedRestoration implements VolumeRestoration {
  readonly plan: RestorePlan;
  readonly state: Made;
  readonly #options: StagedOptions;
  readonly #aside: Place;
  #stagedRoot: TarEntry | undefined;

  constructor(options: StagedOptions, plan: RestorePlan, made: Made) {
    this.#options = options;
    this.plan = plan;
    this.state = made;
    this.#aside = { source: `pkbackup-aside-${made.id}`, directory: '', images: options.place.images };
  }

  async stage(content: Content): Promise<void> {
    const { docker, place, context, setup, watcher, limitBytes } = this.#options;
    const { signal } = context;
    if (this.state.makesVolume) await makeEmptyVolume(docker, place, setup, signal);
    await docker.removeVolume(this.#aside.source, { signal });
    await docker.createVolume(
      { name: this.#aside.source, labels: { [asideLabel]: this.state.id } },
      { signal },
    );
    await using helper = await this.#open(this.#aside);
    const staged = stageBelow(stagedPath, content.tar(), { watcher, limitBytes });
    await docker.writeArchive(helper.id, '/', staged.tar, { signal });
    this.#stagedRoot = staged.root();
    await this.#compare(staged.print, helper, stagedPath);
  }

  async swap(): Promise<void> {
    const { docker, place } = this.#options;
    // Stays where it breaks off: by it everybody knows that the place is nothing to start on.
    const swapping = await this.#open(place, { isSwapping: true });
    await using aside = await this.#open(this.#aside);
    if (!(await docker.pathStat(aside.id, donePath))) await this.#copyAside(aside);
    await this.#replace(swapping, aside, stagedPath, this.#stagedRoot);
    await swapping.remove();
  }

  async rollback(): Promise<void> {
    const { docker, place } = this.#options;
    await docker.clearHelpers(this.state.id, { waits: false });
    if (await docker.volume(this.#aside.source)) await this.#putBack();
    if (!this.state.makesVolume || !(await docker.volume(place.source))) return;
    if ((await docker.containersOf(place.source)).length === 0) await docker.removeVolume(place.source);
  }

  /** The copy goes last: as long as it is there, all of this can be done again. */
  async #putBack(): Promise<void> {
    const { docker, place } = this.#options;
    const swapping = await this.#open(place, { isSwapping: true });
    {
      await using aside = await this.#open(this.#aside);
      if (await docker.pathStat(aside.id, donePath)) {
        await this.#replace(swapping, aside, previousPath, decodeRoot(this.state.root));
      }
    }
    await docker.removeVolume(this.#aside.source);
    await swapping.remove();
  }

  async previous(): Promise<Snapshot | undefined> {
    if (!this.plan.replaces) return undefined;
    const { docker, context } = this.#options;
    const { signal } = context;
    const place = { ...this.#aside, directory: 'previous' };
    return readPlace(docker, place, { signal, restoreId: this.state.id, onDevice: () => undefined });
  }

  async discard(): Promise<void> {
    const { docker } = this.#options;
    await docker.clearHelpers(this.state.id, { waits: false });
    await docker.removeVolume(this.#aside.source);
  }

  #open(place: Place, more: { isSwapping?: boolean } = {}): Promise<Helper> {
    return openHelper(this.#options.docker, place, { isReadOnly: false, restoreId: this.state.id, ...more });
  }

  async #copyAside(aside: Helper): Promise<void> {
    const { docker, place } = this.#options;
    await using reader = await openHelper(docker, place, { isReadOnly: true, restoreId: this.state.id });
    const path = dataPath(place);
    const isThere = await docker.pathStat(reader.id, path);
    if (isThere) await this.#copy(reader, path, aside, previousPath);
    else
      await docker.writeArchive(aside.id, '/', oneEntry(directoryEntry(`${previousPath.slice(1)}/`, 0o755)));
    await docker.writeArchive(aside.id, '/', oneEntry({ ...directoryEntry(`${donePath.slice(1)}/`, 0o755) }));
  }

  async #replace(swapping: Helper, aside: Helper, from: string, root: TarEntry | undefined): Promise<void> {
    const { docker, place } = this.#options;
    await emptyPlace(docker, swapping, place);
    await this.#copy(aside, from, swapping, dataPath(place));
    if (root) await setRoot(docker, place, swapping.id, root);
  }

  async #copy(from: Helper, fromPath: string, to: Helper, toPath: string): Promise<void> {
    const { docker } = this.#options;
    const print = new TreePrint();
    const source = docker.readArchive(from.id, `${fromPath}/.`);
    await docker.writeArchive(to.id, '/', movedTo(toPath, source, print));
    await this.#compare(print, to, toPath);
  }

  async #compare(sent: TreePrint, helper: Helper, path: string): Promise<void> {
    const { docker, place } = this.#options;
    const arrived = await printTar(docker.readArchive(helper.id, `${path}/.`));
    const differences = sent.differences(arrived).filter((what) => what !== 'attributes');
    if (differences.length === 0) return;
    throw new PkbackupError(
      'restore_failed',
      `what was copied for ${describePlace(place)} is not what was sent (${differences.join(', ')} differ)`,
    );
  }
}

/** The content of a directory, as the content of `path`; what is ours stays behind. */
async function* movedTo(path: string, tar: AsyncIterable<Buffer>, print: TreePrint): AsyncGenerator<Buffer> {
  let missing = 0;
  let size = 0;
  let isOurs = false;
  for await (const piece of scanTar(tar)) {
    if (piece.type === 'entry') {
      const parts = bytePartsOf(piece.entry.path);
      isOurs = parts[0]?.startsWith(ownPrefix) === true;
      if (isOurs) continue;
      print.add(piece);
      yield encodeEntry(entryBelow(path.slice(1), piece.entry, parts));
      size = piece.entry.size;
      missing = size;
    } else if (!isOurs) {
      print.add(piece);
      yield piece.bytes;
      missing -= piece.bytes.length;
      if (missing === 0) yield padding(size);
    }
  }
  print.end();
  yield endOfArchive;
}

/**
 * The archive endpoint removes nothing by itself. But what an entry is to replace it removes first, whole, before it makes the
 * entry; and a hard link to what is not there cannot be made. So each refusal is one removal; that it was, is looked at.
 */
async function emptyPlace(docker: Docker, helper: Helper, place: Place): Promise<void> {
  const path = dataPath(place);
  if (!(await docker.pathStat(helper.id, path))) return;
  for (const name of await namesIn(docker, helper, path)) {
    const entry = {
      ...directoryEntry('', 0o644),
      type: 'link' as const,
      path: Buffer.from(name, 'latin1'),
      linkPath: Buffer.from(`${ownPrefix}nothing`),
    };
    const how = { replacesDirectories: true };
    await docker.writeArchive(helper.id, path, oneEntry(entry), how).catch((error: unknown) => {
      if (!(error instanceof EngineStatusError)) throw error;
    });
  }
  const left = await namesIn(docker, helper, path);
  if (left.size === 0) return;
  throw new PkbackupError(
    'restore_failed',
    `${describePlace(place)} cannot be emptied without a shell: ${left.size} entries stay`,
    { hint: 'load any small image that has sh, mv and rm (docker pull busybox), and try again' },
  );
}

/** At the top, as bytes. */
async function namesIn(docker: Docker, helper: Helper, path: string): Promise<Set<string>> {
  const names = new Set<string>();
  for await (const piece of scanTar(docker.readArchive(helper.id, `${path}/.`))) {
    const [name] = piece.type === 'entry' ? bytePartsOf(piece.entry.path) : [];
    if (name !== undefined && !name.startsWith(ownPrefix)) names.add(name);
  }
  return names;
}
