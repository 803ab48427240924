// Where `--to` leads: a container or a volume, or a directory of this host.
import { resolve } from 'node:path';
import { isPath } from '../is-path.ts';
import { type Connection, isInContainer } from './connection.ts';
import type { Expected } from './place.ts';
import { type Beside, besideKey } from './restore-target.ts';

export type FalkordbTarget = Connection & Expected & { readonly [besideKey]?: Beside | undefined };

/** What says how a server outside of Docker is reached says nothing of one inside, and nothing of a directory. */
export function retargetFalkordb(target: FalkordbTarget | undefined, to: string): FalkordbTarget {
  if (isPath(to)) return { container: to, [besideKey]: { directory: resolve(to), like: target } };
  const inDocker = target && isInContainer(target) ? target : { container: to };
  return { ...inDocker, [besideKey]: { to, like: inDocker === target ? target.container : undefined } };
}
