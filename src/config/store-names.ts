// Names for stores that nobody has named: from compose services, containers and volumes, told apart where two are alike.
import { isStoreName } from '../repository/index.ts';

/** What of `text` can be the name of a store. */
export function storeNameFrom(text: string): string {
  const plain = text
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+|[.-]+$/g, '')
    .replaceAll('-backup-', '-')
    .slice(0, 100);
  if (plain === '') return 'store';
  if (isStoreName(plain)) return plain;
  const prefixed = `store-${plain}`.slice(0, 100);
  return isStoreName(prefixed) ? prefixed : 'store';
}

/**
 * Those that share a name (also by case only) get that of their compose project before it, and a number where that is not
 * enough; `others` are taken already.
 */
export function withUniqueNames<T extends { name: string; project?: string }>(
  stores: readonly T[],
  others: Iterable<string> = [],
): T[] {
  const taken = new Set([...others].map((name) => name.toLowerCase()));
  const counts = Map.groupBy(stores, ({ name }) => name.toLowerCase());
  return stores.map((store) => {
    const isAlone = counts.get(store.name.toLowerCase())?.length === 1;
    const first = isAlone || !store.project ? store.name : storeNameFrom(`${store.project}-${store.name}`);
    let name = first;
    for (let number = 2; taken.has(name.toLowerCase()); number++) name = storeNameFrom(`${first}-${number}`);
    taken.add(name.toLowerCase());
    return { ...store, name };
  });
}
