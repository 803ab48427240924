// Where a backup goes that is not restored to its own store: beside the present data, into another compose project, or, on
// a machine that has never seen it, into what its metadata says it was in.
import { composeProject, composeService } from '../docker/index.ts';
import { PkbackupError } from '../errors.ts';
import type { Backup } from '../repository/index.ts';
import type { Store, StoreContext } from '../stores/store.ts';
import { nameInProject } from '../stores/volume-setup.ts';
import { factsOf } from './inspect-archive.ts';

export interface OtherPlace {
  /** For `Store.retarget`; undefined for the place that is configured. */
  readonly to: string | undefined;
  readonly project?: string;
}

/** Of `--to project:NAME`; undefined for any other place. */
export function projectOf(to: string | undefined): string | undefined {
  const project = /^project:(.*)$/s.exec(to ?? '')?.[1];
  if (project === undefined || /^[a-z0-9][a-z0-9_-]*$/.test(project)) return project;
  throw new PkbackupError('usage', `"${project}" cannot be the name of a compose project`, {
    hint: 'small letters, digits, "_" and "-", beginning with a letter or digit',
  });
}

/** What `to` says, for this backup. Throws `not_found` where the project lacks what it needs. */
export async function otherPlace(
  kind: Store,
  { store, metadata }: Backup,
  { to, isConfigured }: { to: string; isConfigured: boolean },
  context: StoreContext,
): Promise<OtherPlace> {
  const project = projectOf(to);
  if (project === undefined) return { to };
  if (kind.inProject === 'volume') {
    return { to: `volume:${nameInProject(factsOf(metadata).source, project)}`, project };
  }
  if (kind.inProject === 'container') {
    return {
      to: `container:${await containerOf(metadata.source.compose_service, project, context)}`,
      project,
    };
  }
  if (isConfigured) return { to: undefined, project };
  throw new PkbackupError(
    'not_found',
    `a ${kind.kind} is in no compose project, and "${store}" is not configured`,
    {
      hint: 'add it to pkbackup.yaml, or name the stores of the set that are to be restored',
    },
  );
}

/** The databases of a server go into a server: compose starts it, on a volume that compose makes. */
async function containerOf(
  service: string | undefined,
  project: string,
  { docker, signal }: StoreContext,
): Promise<string> {
  if (service === undefined) {
    throw new PkbackupError('usage', 'the backup does not say of which compose service it is', {
      hint: 'name the server to restore to: --to container:NAME',
    });
  }
  const all = await (await docker()).containers({ signal });
  const found = all.filter((one) => composeProject(one) === project && composeService(one) === service);
  const [container, another] = found;
  if (container && !another) return container.name;
  const names = found.map(({ name }) => `"${name}"`).join(', ');
  throw container
    ? new PkbackupError(
        'ambiguous',
        `service "${service}" of project "${project}" has several containers: ${names}`,
        {
          hint: 'name one of them: --to container:NAME',
        },
      )
    : new PkbackupError('not_found', `project "${project}" has no container of service "${service}"`, {
        hint: `start it first: docker compose -p ${project} up -d ${service}`,
      });
}

/**
 * On a machine where nothing of the store is left, or ever was: its volume is made again. One that is there is never taken
 * because a backup names it.
 */
export async function placeOfBefore(
  kind: Store,
  { store, metadata }: Backup,
  { docker, emit, signal }: StoreContext,
): Promise<OtherPlace | undefined> {
  const { volume, compose_project: project } = metadata.source;
  if (kind.inProject !== 'volume' || volume === undefined) return undefined;
  if ((await (await docker()).volume(volume, { signal })) !== undefined) return undefined;
  const message = `"${store}" is neither configured nor found here: its volume "${volume}" is made again`;
  emit({ type: 'step', store, message });
  return { to: `volume:${volume}`, ...(project === undefined ? {} : { project }) };
}
