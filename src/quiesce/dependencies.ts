// Who depends on whom. Compose keeps `depends_on` in a label: `db:service_healthy:false,cache:service_started:false`.
import { type Container, composeProject, composeService } from '../docker/index.ts';

/** By id, whom each needs in order to serve, directly or through others. */
export type Needs = ReadonlyMap<string, ReadonlySet<string>>;

export function needsOf(all: readonly Container[]): Needs {
  const byService = Map.groupBy(all, serviceKey);
  const direct = new Map(
    all.map((container) => [
      container.id,
      dependenciesOf(container).flatMap((key) => (byService.get(key) ?? []).map(({ id }) => id)),
    ]),
  );
  return new Map(all.map(({ id }) => [id, reachable(id, direct)]));
}

/** Those that need one of `wanted`. */
export function dependentsOf(wanted: readonly Container[], all: readonly Container[]): Container[] {
  const needs = needsOf(all);
  const isWanted = (id: string) => wanted.some((container) => container.id === id);
  return all.filter(({ id }) => !isWanted(id) && [...(needs.get(id) ?? [])].some(isWanted));
}

/** In the order of stopping: who needs others comes before them. Those of one level do not need each other. */
export function levelsOf(containers: readonly Container[], needs: Needs): Container[][] {
  const levels: Container[][] = [];
  let left = [...containers];
  while (left.length > 0) {
    const needed = new Set(left.flatMap(({ id }) => [...(needs.get(id) ?? [])]));
    const free = left.filter(({ id }) => !needed.has(id));
    // A ring of dependencies has no order.
    const level = free.length > 0 ? free : left;
    levels.push(level);
    left = left.filter((container) => !level.includes(container));
  }
  return levels;
}

const serviceKey = (container: Container) => `${composeProject(container)}/${composeService(container)}`;

function dependenciesOf(container: Container): string[] {
  return (container.labels['com.docker.compose.depends_on'] ?? '')
    .split(',')
    .filter((dependency) => dependency !== '')
    .map((dependency) => `${composeProject(container)}/${dependency.split(':')[0]}`);
}

/** Without itself: one that needs itself needs nobody. */
function reachable(from: string, direct: ReadonlyMap<string, readonly string[]>): Set<string> {
  const found = new Set<string>();
  const open = [...(direct.get(from) ?? [])];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (id === from || found.has(id)) continue;
    found.add(id);
    open.push(...(direct.get(id) ?? []));
  }
  return found;
}
