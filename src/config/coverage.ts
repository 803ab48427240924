// Volumes that no store saves, in the projects that stores are of: what a person most likely has forgotten.
import { composeProject, composeService, type Docker } from '../docker/index.ts';
import { isAnonymous, mountsVolume, projectLabel, shortNameOf } from './found-stores.ts';
import { readLabels } from './labels.ts';

export interface UncoveredVolume {
  readonly name: string;
  /** The compose services or containers that mount it. */
  readonly users: readonly string[];
}

export interface Covered {
  /** Those that some store saves. */
  readonly volumes: readonly string[];
  /** The compose projects that these are of. */
  readonly projects: readonly string[];
  /** Those that are left out on purpose, by their names or by those they have in the compose file. */
  readonly ignored: readonly string[];
}

/** Volumes of the projects, unless a label says no; and marked ones that are of no project at all. */
export async function findUncovered(
  docker: Docker,
  { volumes, projects, ignored }: Covered,
  signal: AbortSignal,
): Promise<UncoveredVolume[]> {
  const [containers, present] = await Promise.all([
    docker.containers({ signal }),
    docker.volumes({ signal }),
  ]);
  return present.flatMap(({ name, labels }) => {
    const users = containers.filter((container) => mountsVolume(container, name));
    const itsProjects = [labels[projectLabel], ...users.map(composeProject)].filter(
      (project) => project !== undefined,
    );
    const { enable } = readLabels(labels, []);
    const isOurs =
      itsProjects.some((project) => projects.includes(project)) || (enable && itsProjects.length === 0);
    if (volumes.includes(name) || isAnonymous(name) || enable === false || !isOurs) return [];
    const names = [name, shortNameOf(name, itsProjects[0], labels)];
    if (names.some((each) => ignored.includes(each))) return [];
    return [{ name, users: users.map((user) => composeService(user) ?? user.name) }];
  });
}
