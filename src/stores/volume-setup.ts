// How a volume was made: noted with a backup, so that a restore on another machine, or in another compose project, can make
// it again as compose would. What the metadata says is input: a path or a host that is named there is only used where
// the user has said so.
import type { Docker, Volume } from '../docker/index.ts';
import { PkbackupError } from '../errors.ts';
import type { RestoreOptions, Source } from './store.ts';
import { lookInto, mountPoint, openHelper, type Place } from './volume-place.ts';

export interface VolumeSetup {
  readonly labels?: Readonly<Record<string, string>>;
  readonly driver?: string;
  readonly options?: Readonly<Record<string, string>>;
}

const projectLabel = 'com.docker.compose.project';
const shortNameLabel = 'com.docker.compose.volume';
const withheld = '[redacted]';
const isSecret = /pass|secret|token|credential/i;

/** What of a volume goes into the metadata; never a secret. */
export function setupOf({ driver, labels, options }: Volume): Source {
  const known = Object.entries(labels).filter(
    ([name, value]) => isKept(name) && !isSecret.test(name + value),
  );
  const how = Object.entries(options).map(([name, value]) => [
    name,
    isSecret.test(name + value) ? withheld : value,
  ]);
  return {
    volume_driver: driver,
    volume_labels: Object.fromEntries(known),
    ...(how.length > 0 ? { volume_options: Object.fromEntries(how) } : {}),
  };
}

/**
 * Ours say that a drill or a restore may remove a volume, Docker's that nobody has named it. Compose's hash is of the project
 * too: where it is another one, compose offers to remove the volume.
 */
const isKept = (label: string): boolean =>
  !/^(pkbackup\.(drill|helper|owner|restore)|com\.docker\.volume\.anonymous|com\.docker\.compose\.config-hash)$/.test(
    label,
  );

/** For a volume that is missing. Beside the present data, and of no project, it is nobody's. */
export function setupFor(
  name: string,
  source: Source,
  { beside, project }: Pick<RestoreOptions, 'beside' | 'project'>,
): VolumeSetup {
  if (beside && project === undefined) return {};
  if (project === undefined && source.volume !== name) return { labels: composeLabels(name, source) };
  const { volume_driver: driver, volume_options: options, volume_labels: noted } = source;
  const labels = noted ?? composeLabels(source.volume ?? name, source);
  const isComposes = project !== undefined && labels[projectLabel] !== undefined;
  const kept = Object.entries(labels).filter(([label]) => isKept(label));
  return {
    labels: { ...Object.fromEntries(kept), ...(isComposes ? { [projectLabel]: project } : {}) },
    ...(driver === undefined ? {} : { driver }),
    ...(options === undefined ? {} : { options }),
  };
}

/** Without them `docker compose` would not take the volume for its own. */
function composeLabels(name: string, source: Source): Record<string, string> {
  const project = source.compose_project;
  if (project === undefined || !name.startsWith(`${project}_`)) return {};
  return { [projectLabel]: project, [shortNameLabel]: name.slice(project.length + 1) };
}

/** As compose would name it; one with a name of its own, or an external one, is called the same in every project. */
export function nameInProject(source: Source, project: string): string {
  const { volume = '', volume_labels: labels = {} } = source;
  if (/^([0-9a-f]{64})?$/.test(volume)) throw unnamed(volume);
  const before = labels[projectLabel] ?? source.compose_project;
  if (before === undefined && source.volume_labels === undefined) throw ofNoProject(volume);
  const short = labels[shortNameLabel] ?? volume.slice(`${before}_`.length);
  return volume === `${before}_${short}` ? `${project}_${short}` : volume;
}

/** The data goes back to where it lay in its volume; elsewhere it is all of it. */
export function directoryToRestore(
  name: string,
  { volume, volume_directory: directory = '' }: Source,
  { beside, project }: Pick<RestoreOptions, 'beside' | 'project'>,
): string {
  if (project === undefined && (beside || volume !== name)) return '';
  if (!directory.split('/').includes('..')) return directory;
  throw new PkbackupError('bad_backup', `the metadata names "${directory}" as the place in the volume`);
}

/** `size` alone can do no harm. */
export function namesPlace({ driver = 'local', options = {} }: VolumeSetup): boolean {
  return driver !== 'local' || Object.keys(options).some((name) => name !== 'size');
}

/** For people: `volume "other_data" (type nfs, device :/srv)`. */
export function describeSetup(name: string, { driver = 'local', options = {} }: VolumeSetup): string {
  const how = [
    ...(driver === 'local' ? [] : [`driver ${driver}`]),
    ...Object.entries(options).map(([option, value]) => `${option} ${value}`),
  ];
  return how.length === 0 ? `volume "${name}"` : `volume "${name}" (${how.join(', ')})`;
}

/** Throws where its options lead to what is somebody's already. */
export async function makeEmptyVolume(
  docker: Docker,
  place: Place,
  setup: VolumeSetup = {},
  signal?: AbortSignal,
): Promise<void> {
  await docker.createVolume({ name: place.source, ...setup }, { signal });
  if (!namesPlace(setup)) return;
  await using helper = await openHelper(docker, place, { isReadOnly: true, ...(signal && { signal }) });
  if ((await lookInto(docker, helper, mountPoint, signal)).isEmpty) return;
  throw new PkbackupError(
    'restore_failed',
    `what ${describeSetup(place.source, setup)} leads to is not empty`,
    {
      hint: 'empty it, or make the volume elsewhere first',
    },
  );
}

/** Throws where it could not be made again, or leads to a place that only the backup has named. */
export function refuseSetup(name: string, setup: VolumeSetup, takesVolumeOptions: boolean): void {
  if (!namesPlace(setup)) return;
  if (Object.values(setup.options ?? {}).includes(withheld)) {
    throw new PkbackupError(
      'restore_failed',
      `${describeSetup(name, setup)} is missing, and was made with a secret that is in no backup; nothing was touched`,
      { hint: 'make it yourself (docker compose create does), then restore again' },
    );
  }
  if (takesVolumeOptions) return;
  throw new PkbackupError(
    'restore_failed',
    `${describeSetup(name, setup)} is missing, and the backup alone says where its data is to lie; nothing was touched`,
    { hint: 'make it yourself (docker compose create does), or let --volume-options make it like that' },
  );
}

function unnamed(volume: string): PkbackupError {
  const what =
    volume === '' ? 'the backup is of no volume' : `volume "${volume.slice(0, 12)}..." has no name`;
  return new PkbackupError('usage', `${what}, so it is not known where it belongs in another project`, {
    hint: 'name the place: --to TARGET',
  });
}

function ofNoProject(volume: string): PkbackupError {
  return new PkbackupError(
    'usage',
    `the backup does not say of which compose project volume "${volume}" is`,
    {
      hint: 'name the volume to restore to: --to VOLUME',
    },
  );
}
