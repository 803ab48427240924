// Any Docker volume, whatever is in it. pkbackup knows nothing of the files, so it counts none and checks only the archive.
// A copy of a volume that is written to is torn (13 of 20 for ChromaDB, 25 of 25 for SQLite: docs/stores/volume.md), so
// its users are paused by default. `stop` is for what must close its files; `none` for what nobody writes to.
import { z } from 'zod';
import type { Docker, Volume } from '../docker/index.ts';
import { PkbackupError } from '../errors.ts';
import { roomFor } from './free-space.ts';
import type { BackupFacts, ContentWatch, Look, Source, Store, StoreContext } from './store.ts';
import { TreeSampler } from './tree-samples.ts';
import { openVolumeDrill } from './volume-drill.ts';
import {
  dataPath,
  extentOf,
  imagesFor,
  isDevice,
  lookInto,
  openHelper,
  openReadyPlace,
  type Place,
  readPlace,
  readyPlaceIn,
} from './volume-place.ts';
import { planVolumeRestore, resumeVolumeRestore } from './volume-restore.ts';
import { setupFor, setupOf } from './volume-setup.ts';

const schema = z.strictObject({
  /** The name as Docker knows it, or as it is in the compose file. */
  volume: z.string().min(1),
  /** For helper containers; must be here already. */
  image: z.string().min(1).optional(),
});

type Target = z.infer<typeof schema>;

export const volume: Store<Target> = {
  kind: 'volume',
  schema,
  quiesce: { default: 'pause', allowed: ['none', 'pause', 'stop'], usualStopMs: 1000 },

  async look(target, context): Promise<Look> {
    const docker = await context.docker();
    const { signal } = context;
    const found = await docker.findVolume(target.volume, { signal });
    const place = await placeOf(docker, found.name, target, context);
    await using helper = await openHelper(docker, place, { isReadOnly: true, signal });
    const { isEmpty } = await lookInto(docker, helper, dataPath(place), signal);
    const extent = await extentOf(docker, place, helper, context);
    return {
      source: sourceOf(found),
      counts: {},
      volumes: [found.name],
      isEmpty,
      ...extent,
    };
  },

  async ready(target, look, context) {
    const docker = await context.docker();
    const place = await placeOf(docker, look.source.volume ?? target.volume, target, context);
    return await openReadyPlace(docker, place, context);
  },

  async snapshot(target, look, context) {
    const docker = await context.docker();
    const place =
      readyPlaceIn(context)?.place ??
      (await placeOf(docker, look.source.volume ?? target.volume, target, context));
    const { programs } = look;
    const copy = await readPlace(docker, place, { ...context, programs, onDevice: warnOfDevice(context) });
    const sampler = new TreeSampler((entry) => isDevice(entry) || copy.skip?.(entry) === true);
    return {
      ...copy,
      watch: (piece) => sampler.add(piece),
      get samples() {
        return sampler.samples();
      },
    };
  },

  retarget(target, to) {
    return { ...target, volume: volumeName(to.replace(/^volume:/, '')) };
  },
  inProject: 'volume',

  async planRestore(target, backup, options, context) {
    const docker = await context.docker();
    const { beside } = options;
    const name = await volumeToRestore(docker, target.volume, backup, beside, context);
    const restoration = await planVolumeRestore({
      docker,
      place: await placeOf(docker, name, target, context),
      context,
      beside,
      ...roomFor(backup),
      limitBytes: backup.rawSizeBytes,
      setup: setupFor(name, backup.source, options),
      takesVolumeOptions: options.takesVolumeOptions,
    });
    return Object.assign(restoration, { check: async () => ({}) });
  },

  resumeRestore: (_target, state, _backup, context) => resumeVolumeRestore(state, context),

  openDrill: openVolumeDrill,

  /** What the files mean nobody here knows: they are compared with what was recorded of them. */
  watch: watchTree,
};

function watchTree({ samples }: BackupFacts): ContentWatch {
  const sampler = new TreeSampler();
  return {
    add: (piece) => sampler.add(piece),
    report: () => ({ findings: sampler.differences(samples), counts: {} }),
  };
}

async function placeOf(
  docker: Docker,
  source: string,
  target: Target,
  context: StoreContext,
): Promise<Place> {
  return { source, directory: '', images: await imagesFor(docker, source, target.image, context.signal) };
}

export function sourceOf(found: Volume): Source {
  const project = found.labels['com.docker.compose.project'];
  return {
    volume: found.name,
    ...setupOf(found),
    ...(project === undefined ? {} : { compose_project: project }),
  };
}

export function warnOfDevice({ emit, store }: StoreContext): (name: string) => void {
  return (name) =>
    emit({ type: 'warning', store, message: `device "${name}" is not saved: it holds no data` });
}

/** The name that Docker itself takes; throws `usage` for others. */
export function volumeName(name: string): string {
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name)) return name;
  throw new PkbackupError('usage', `"${name}" cannot be the name of a volume`, {
    hint: 'letters, digits, "_", "." and "-", at least two',
  });
}

/** A volume that is gone is made again under the name it had; a new place is taken by its exact name. */
export async function volumeToRestore(
  docker: Docker,
  wanted: string,
  backup: BackupFacts,
  beside: boolean,
  { signal }: StoreContext,
): Promise<string> {
  if (beside) return volumeName(wanted);
  try {
    return (await docker.findVolume(wanted, { signal })).name;
  } catch (error) {
    if (!(error instanceof PkbackupError) || error.code !== 'not_found') throw error;
    const before = backup.source.volume;
    return volumeName(
      before !== undefined && (before === wanted || before.endsWith(`_${wanted}`)) ? before : wanted,
    );
  }
}
