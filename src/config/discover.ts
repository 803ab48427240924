// Stores that nobody wrote down: containers that a kind recognises, or that labels name, in one compose project or in all.
import { type Container, composeProject, type Docker, type Volume } from '../docker/index.ts';
import { PkbackupError } from '../errors.ts';
import { didYouMean } from '../near.ts';
import {
  type Finding,
  type FoundStore,
  isAnonymous,
  mountsVolume,
  type Notes,
  projectLabel,
  readContainer,
  readVolume,
  volumesOf,
} from './found-stores.ts';

export interface DiscoverOptions {
  readonly signal: AbortSignal;
  /** Only this compose project. */
  readonly project?: string;
  /** Where no project is named: that of the compose file in one of these directories, if it is one alone. */
  readonly directories?: readonly string[];
  /** Only what mounts this volume. */
  readonly volume?: string;
}

export interface Discovery {
  /** The one that all of it belongs to, where it was chosen. */
  readonly project: string | undefined;
  /** Recognised, or named by labels; two may have one name. */
  readonly stores: readonly FoundStore[];
  /** Volumes of the same projects that hold what nobody recognised. */
  readonly offers: readonly FoundStore[];
  /** Containers that are no stores; what they mount may be worth a backup. */
  readonly others: readonly Container[];
  readonly notUnderstood: readonly Finding[];
  /** Left out because a label says so. */
  readonly leftOut: readonly string[];
}

/**
 * What `backup` and `restore` take where nothing is configured. Throws `config` for wrong labels, unless all that is wanted
 * is there: those of others are not in its way.
 */
export async function discoverStores(
  docker: Docker,
  wanted: readonly string[],
  options: DiscoverOptions,
): Promise<FoundStore[]> {
  const { stores: found, notUnderstood } = await discover(docker, options);
  const isThere = wanted.length > 0 && wanted.every((name) => found.some((store) => store.name === name));
  if (notUnderstood.length === 0 || isThere) return [...found];
  const lines = notUnderstood.map(({ what, why }) => `${what}: ${why}`);
  throw new PkbackupError('config', lines.join('\n'), {
    hint: 'correct the labels, or name the stores in pkbackup.yaml, where labels do not count',
  });
}

/** Throws `not_found` where the project that is asked for is not there. */
export async function discover(docker: Docker, options: DiscoverOptions): Promise<Discovery> {
  const { signal } = options;
  const [allContainers, allVolumes] = await Promise.all([
    docker.containers({ signal }),
    docker.volumes({ signal }),
  ]);
  const project = chooseProject(allContainers, allVolumes, options);
  const notes: Notes = { notUnderstood: [], leftOut: [] };
  const containers = allContainers.filter((container) => isInScope(container, project, options.volume));
  const byContainer = containers.map((container) => ({ container, found: readContainer(container, notes) }));
  const ofContainers = byContainer.flatMap(({ found }) => found);
  // A volume of a server is that server's to save, whatever is written on it.
  const covered = new Set(ofContainers.flatMap(volumesOf));
  const projects = new Set(
    project === undefined ? ofContainers.flatMap((store) => store.project ?? []) : [project],
  );
  const ofVolumes = allVolumes
    .filter(({ name }) => !covered.has(name) && (options.volume === undefined || options.volume === name))
    .map((volume) => readVolume(volume, allContainers, project, notes));
  return {
    project,
    stores: [...ofContainers, ...ofVolumes.flatMap(({ isMarked, found }) => (isMarked ? found : []))],
    offers: ofVolumes
      .flatMap(({ isMarked, found }) => (isMarked ? [] : found))
      .filter((offer) => projects.has(offer.project ?? '') && !isAnonymous(offer.volume ?? '')),
    others: byContainer.flatMap(({ container, found }) => (found.length === 0 ? [container] : [])),
    ...notes,
  };
}

function isInScope(container: Container, project: string | undefined, volume: string | undefined): boolean {
  const isOfProject = project === undefined || composeProject(container) === project;
  return isOfProject && (volume === undefined || mountsVolume(container, volume));
}

/** What is said, then the compose project that lies here; never one of several. */
function chooseProject(
  containers: readonly Container[],
  volumes: readonly Volume[],
  { project, directories = [] }: DiscoverOptions,
): string | undefined {
  const present = new Set([
    ...containers.flatMap((container) => composeProject(container) ?? []),
    ...volumes.flatMap(({ labels }) => labels[projectLabel] ?? []),
  ]);
  if (project !== undefined) {
    if (present.has(project)) return project;
    const names = [...present].sort();
    throw new PkbackupError(
      'not_found',
      `no such compose project: "${project}"${didYouMean(project, names)}`,
      {
        hint: names.length > 0 ? `the projects are ${names.join(', ')}` : 'docker compose up makes one',
      },
    );
  }
  const here = containers.filter(({ labels }) => {
    return directories.includes(labels['com.docker.compose.project.working_dir'] ?? '');
  });
  const [only, ...more] = new Set(here.flatMap((container) => composeProject(container) ?? []));
  return more.length === 0 ? only : undefined;
}
