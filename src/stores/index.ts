// The list of stores. Adding one is a file beside this one, a line here, a seed for the conformance suite and a page in docs.
import type { Kind, Quiesce } from '../words.ts';
import { chromadb } from './chromadb.ts';
import { directory } from './directory.ts';
import { falkordb } from './falkordb.ts';
import { neo4j } from './neo4j.ts';
import { postgres } from './postgres.ts';
import { sqlite } from './sqlite.ts';
import type { Store } from './store.ts';
import { volume } from './volume.ts';

/** In this order containers are offered to them: the first that recognises one takes it. */
export const stores: readonly Store[] = [chromadb, falkordb, neo4j, postgres, sqlite, volume, directory];

export function storeOf(kind: Kind): Store {
  const store = stores.find((candidate) => candidate.kind === kind);
  if (!store) throw new Error(`there is no store of the kind "${kind}"`);
  return store;
}

/** For one target of the kind. */
export function allowedQuiesce(kind: Store, target: unknown): readonly Quiesce[] {
  return kind.allowedQuiesce?.(target) ?? kind.quiesce.allowed;
}
