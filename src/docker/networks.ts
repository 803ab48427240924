// Networks: looked at, made again as they were, joined.
import type { CallOptions } from './deadline.ts';
import type { Engine } from './engine.ts';
import { hasStatus } from './engine-errors.ts';

/** What the Engine needs in order to make it again. */
export type NetworkDefinition = Readonly<Record<string, unknown>> & { readonly Name: string };

const pathOf = (name: string) => `/networks/${encodeURIComponent(name)}`;
const defining = ['Driver', 'Internal', 'Attachable', 'EnableIPv6', 'IPAM', 'Options', 'Labels'];

/** Undefined where it is not there, or is none of this Engine alone. */
export async function networkDefinition(
  engine: Engine,
  name: string,
  options?: CallOptions,
): Promise<NetworkDefinition | undefined> {
  try {
    const request = { method: 'GET', path: pathOf(name), act: `look at network "${name}"` } as const;
    const found = (await engine.call(request, options)).json as Record<string, unknown>;
    const known = defining.filter((key) => found[key] !== undefined && found[key] !== null);
    return { Name: name, ...Object.fromEntries(known.map((key) => [key, found[key]])) };
  } catch (error) {
    if (hasStatus(error, 404)) return undefined;
    throw error;
  }
}

/** Does nothing where there is one of that name. */
export async function createNetworkLike(
  engine: Engine,
  definition: NetworkDefinition,
  options?: CallOptions,
): Promise<void> {
  if (await networkDefinition(engine, definition.Name, options)) return;
  const act = `create network "${definition.Name}"`;
  const body = { ...definition, CheckDuplicate: true };
  await engine.call({ method: 'POST', path: '/networks/create', body, act }, options);
}

export async function connectNetwork(
  engine: Engine,
  network: string,
  container: string,
  endpoint: object,
  options?: CallOptions,
): Promise<void> {
  const body = { Container: container, EndpointConfig: endpoint };
  const act = `connect to network "${network}"`;
  await engine.call({ method: 'POST', path: `${pathOf(network)}/connect`, body, act }, options);
}
