// From containers and volumes to stores: by what a kind recognises, and by what labels say. What they say of themselves
// selects and describes; it names nothing that is run, no path of this machine and no host.
import { type Container, composeProject, composeService, type Mount, type Volume } from '../docker/index.ts';
import { storeOf, stores } from '../stores/index.ts';
import type { Kind } from '../words.ts';
import { type BackupLabels, readLabels } from './labels.ts';
import { storeNameFrom } from './store-names.ts';
import type { ConfiguredStore } from './types.ts';

/** A store and what people should know of where it comes from. */
export interface FoundStore extends ConfiguredStore {
  readonly origin: string;
  /** One line: image, volumes and where they are mounted. */
  readonly description: string;
  readonly clients: readonly string[];
  readonly container?: Container;
  readonly volume?: string;
  /** On this machine. */
  readonly path?: string;
}

export interface Finding {
  /** `container "stack-app-1"` */
  readonly what: string;
  readonly why: string;
}

/** What is told beside the stores. */
export interface Notes {
  readonly notUnderstood: Finding[];
  readonly leftOut: string[];
}

export const projectLabel = 'com.docker.compose.project';

export function readContainer(container: Container, notes: Notes): FoundStore[] {
  return understand(`container "${container.name}"`, container.labels, notes, (labels, problems) =>
    storesOfContainer(container, labels, problems),
  );
}

export interface ReadVolume {
  /** A label says that it is to be saved. */
  readonly isMarked: boolean;
  readonly found: readonly FoundStore[];
}

/** Nothing where it belongs to another project than the one that is asked for. */
export function readVolume(
  volume: Volume,
  containers: readonly Container[],
  wanted: string | undefined,
  notes: Notes,
): ReadVolume {
  const users = containers.filter((container) => mountsVolume(container, volume.name));
  const project = volume.labels[projectLabel] ?? users.map(composeProject).find(Boolean);
  let isMarked = false;
  if (wanted !== undefined && project !== wanted) return { isMarked, found: [] };
  const found = understand(`volume "${volume.name}"`, volume.labels, notes, (labels, problems) => {
    isMarked = labels.enable === true || labels.kind !== undefined || labels.name !== undefined;
    return [storeOfVolume(volume, project, users, labels, problems)];
  });
  return { isMarked, found };
}

/** Reads the labels, and what is wrong with them becomes one finding each. */
function understand(
  what: string,
  labels: Readonly<Record<string, string>>,
  notes: Notes,
  read: (labels: BackupLabels, problems: string[]) => FoundStore[],
): FoundStore[] {
  const problems: string[] = [];
  const said = readLabels(labels, problems);
  if (said.enable === false) {
    notes.leftOut.push(what);
    return [];
  }
  const found = problems.length === 0 ? read(said, problems) : [];
  notes.notUnderstood.push(...problems.map((why) => ({ what, why })));
  return problems.length === 0 ? found : [];
}

function storesOfContainer(container: Container, labels: BackupLabels, problems: string[]): FoundStore[] {
  const found = labels.kind === undefined ? recognised(container) : targetsOfKind(container, labels.kind);
  if (found.length === 0) {
    if (labels.kind !== undefined) {
      problems.push(`label "pkbackup.kind": "${labels.kind}" is no kind that this container can be`);
    } else if (labels.enable && container.labels['pkbackup.enable'] !== undefined) {
      problems.push('label "pkbackup.enable" is set, and it is of no known kind: set "pkbackup.kind" too');
    }
    return [];
  }
  const name = labels.name ?? composeService(container) ?? container.name;
  return found.flatMap(({ kind, target, volume }) => {
    const suffix =
      found.length > 1 && volume !== undefined ? `-${shortNameOf(volume, composeProject(container))}` : '';
    const store = labelled({ name: `${name}${suffix}`, kind, target }, labels, problems);
    const project = composeProject(container);
    return {
      ...store,
      origin: `container "${container.name}"`,
      description: `${container.image}${mountsText(container.mounts)}`,
      container,
      ...(project !== undefined && { project }),
      ...(volume !== undefined && { volume }),
    };
  });
}

function recognised(container: Container): { kind: Kind; target: unknown; volume?: string }[] {
  for (const { kind, recognise } of stores) {
    const target = recognise?.(container);
    if (target !== undefined) return [{ kind, target }];
  }
  return [];
}

/** A label says the kind: the container is its target, or each of its volumes. */
function targetsOfKind(container: Container, kind: Kind): { kind: Kind; target: unknown; volume?: string }[] {
  const { schema } = storeOf(kind);
  const asContainer = schema.safeParse({ container: container.name });
  if (asContainer.success) return [{ kind, target: asContainer.data }];
  const named = container.mounts.filter(({ type, source }) => type === 'volume' && !isAnonymous(source));
  return [...new Set(named.map(({ source }) => source))].flatMap((volume) => {
    const asVolume = schema.safeParse({ volume });
    return asVolume.success ? [{ kind, target: asVolume.data, volume }] : [];
  });
}

function storeOfVolume(
  volume: Volume,
  project: string | undefined,
  users: readonly Container[],
  labels: BackupLabels,
  problems: string[],
): FoundStore {
  const kind = labels.kind ?? 'volume';
  const target = storeOf(kind).schema.safeParse({ volume: volume.name });
  if (!target.success) problems.push(`label "pkbackup.kind": a volume alone cannot be "${kind}"`);
  const name = labels.name ?? shortNameOf(volume.name, project, volume.labels);
  const mounted = users.flatMap((container) =>
    container.mounts
      .filter(({ source }) => source === volume.name)
      .map(({ destination }) => `by "${composeService(container) ?? container.name}" at ${destination}`),
  );
  return {
    ...labelled({ name, kind, target: target.data }, labels, problems),
    origin: `volume "${volume.name}"`,
    description: mounted.length > 0 ? `mounted ${mounted.join(', ')}` : 'mounted by no container',
    volume: volume.name,
    ...(project !== undefined && { project }),
  };
}

/** A name by label must be good as it is; any other is made good. */
function labelled(
  { name, kind, target }: Pick<ConfiguredStore, 'name' | 'kind' | 'target'>,
  { name: said, quiesce, clients }: BackupLabels,
  problems: string[],
): Pick<FoundStore, 'name' | 'kind' | 'target' | 'quiesce' | 'clients'> {
  const good = storeNameFrom(name);
  if (said !== undefined && good !== name) {
    problems.push(`label "pkbackup.name": "${said}" cannot be the name of a store (it could be "${good}")`);
  }
  const { allowed } = storeOf(kind).quiesce;
  if (quiesce !== undefined && !allowed.includes(quiesce)) {
    problems.push(
      `label "pkbackup.quiesce": expected ${allowed.join(' or ')} for kind ${kind}, got "${quiesce}"`,
    );
  }
  return { name: good, kind, target, clients, ...(quiesce !== undefined && { quiesce }) };
}

/** `uploads` of `stack_uploads`, as it is in the compose file. */
export function shortNameOf(
  volume: string,
  project: string | undefined,
  labels: Readonly<Record<string, string>> = {},
): string {
  const inFile = labels['com.docker.compose.volume'];
  if (inFile !== undefined && inFile !== '') return inFile;
  return project !== undefined && volume.startsWith(`${project}_`)
    ? volume.slice(project.length + 1)
    : volume;
}

/** Those of its container, whatever is in them. */
export function volumesOf({ container, volume }: FoundStore): string[] {
  const mounted = (container?.mounts ?? []).filter(({ type }) => type === 'volume');
  return volume === undefined ? mounted.map(({ source }) => source) : [volume];
}

export function mountsVolume({ mounts }: Container, volume: string): boolean {
  return mounts.some(({ type, source }) => type === 'volume' && source === volume);
}

/** Its name is made up by Docker. */
export function isAnonymous(volume: string): boolean {
  return /^[0-9a-f]{64}$/.test(volume);
}

function mountsText(mounts: readonly Mount[]): string {
  const texts = mounts
    .filter(({ type }) => type === 'volume' || type === 'bind')
    .map(({ type, source, destination }) => {
      if (isAnonymous(source)) return `an anonymous volume at ${destination}`;
      return `${type === 'bind' ? 'directory' : 'volume'} "${source}" at ${destination}`;
    });
  return texts.length > 0 ? `, ${texts.join(', ')}` : ', no mounts';
}
