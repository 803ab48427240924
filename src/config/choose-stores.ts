// Which stores a command works on: those named, or all that are configured, or else all that are discovered.
import { PkbackupError } from '../errors.ts';
import { didYouMean } from '../near.ts';
import type { ConfiguredStore } from './types.ts';

/** Docker is asked only for what the config file does not have. Throws `not_found` or `ambiguous`. */
export async function chooseStores(
  names: readonly string[],
  configured: readonly ConfiguredStore[],
  discover: (wanted: readonly string[]) => Promise<ConfiguredStore[]>,
): Promise<ConfiguredStore[]> {
  if (names.length === 0) return configured.length > 0 ? [...configured] : allDiscovered(await discover([]));
  const unknown = names.filter((name) => find(name, configured).length === 0);
  const discovered = unknown.length > 0 ? await discover(unknown) : [];
  const known = [...configured, ...discovered].map((store) => store.name);
  return [...new Set(names)].map((name) => {
    const [store, ...others] = unknown.includes(name) ? find(name, discovered) : find(name, configured);
    if (store === undefined) throw noSuchStore(name, known, nothingFound);
    refuseDoubles([store, ...others]);
    return store;
  });
}

/** `hintWithout` is the hint where no store is known at all. */
export function noSuchStore(name: string, known: readonly string[], hintWithout: string): PkbackupError {
  const names = [...new Set(known)];
  return new PkbackupError('not_found', `no such store: "${name}"${didYouMean(name, names)}`, {
    hint: names.length > 0 ? `the stores are ${names.join(', ')}` : hintWithout,
  });
}

const nothingFound =
  'no store is configured, and no container of a known kind is there: write it into pkbackup.yaml (see docs/configuration.md)';

function allDiscovered(found: ConfiguredStore[]): ConfiguredStore[] {
  if (found.length === 0) {
    throw new PkbackupError(
      'not_found',
      'nothing to back up: no store is configured, and no container of a known kind is there',
      {
        hint: 'name your stores in pkbackup.yaml (see docs/configuration.md)',
      },
    );
  }
  refuseDoubles(found);
  return found;
}

function find(name: string, stores: readonly ConfiguredStore[]): ConfiguredStore[] {
  return stores.filter((store) => store.name === name);
}

/** Throws `ambiguous` where two containers would be one store: both are named, none is taken. */
function refuseDoubles(found: readonly ConfiguredStore[]): void {
  for (const store of found) {
    const doubles = found.filter(({ name }) => name.toLowerCase() === store.name.toLowerCase());
    if (doubles.length < 2) continue;
    throw new PkbackupError(
      'ambiguous',
      `store "${store.name}" is ambiguous: ${doubles.map(originOf).join(', ')}`,
      {
        hint: 'name the compose project with --project, or give each a name of its own in pkbackup.yaml (pkbackup init writes it)',
      },
    );
  }
}

function originOf({ origin, name }: ConfiguredStore): string {
  return origin ?? `"${name}"`;
}
