// How the configuration says that a server is reached: in its container, or from this host.
import type { StoreContext } from '../store.ts';
import { connectInContainer } from './in-container.ts';
import { connectOnHost, type HostConnection } from './on-host.ts';
import { type FalkordbServer, thaw } from './server.ts';

export type Connection = HostConnection & { readonly container?: string | undefined };

export const isInContainer = <Target extends { readonly container?: string | undefined }>(
  target: Target,
): target is Target & { readonly container: string } => target.container !== undefined;

export function connect(connection: Connection, context: StoreContext): Promise<FalkordbServer> {
  return isInContainer(connection)
    ? connectInContainer(connection, context)
    : connectOnHost(connection, context);
}

/** Writers that still wait because of `saveAndFreeze` go on; after a stop there is nothing to do. */
export async function thawIfRunning(connection: Connection, context: StoreContext): Promise<void> {
  await connect(connection, { ...context, signal: new AbortController().signal })
    .then(thaw)
    .catch(() => undefined);
}
