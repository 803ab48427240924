// What there is to find, as data: the forms of files that hold something, and what becomes of each.
import type { Kind } from '../words.ts';

export const oldForms = [
  'chroma-volume',
  'chroma-directory',
  'neo4j-volume',
  'neo4j-dump',
  'sqlite-file',
  'sqlite-text',
  'memory-system',
  'memories',
  'files',
  'postgres-text',
  'redis-dump',
] as const;
/** How the content of a store lies in a file. It is written into the metadata of adopted files. */
export type OldForm = (typeof oldForms)[number];

interface FormFacts {
  readonly what: string;
  /** The first is what the content is; it can be restored as any of them. */
  readonly kinds: readonly [Kind, ...Kind[]];
  /** The name of its store where no other is known. */
  readonly store: string;
  /** A store of that kind is taken for its own, where there is only one. */
  readonly isOnlyOneOfItsKind: boolean;
  /** Names at the top that it has anything of. */
  readonly only?: readonly string[];
}

const forms: Readonly<Record<OldForm, FormFacts>> = {
  'chroma-volume': {
    what: 'a ChromaDB volume',
    kinds: ['chromadb', 'volume', 'directory'],
    store: 'chromadb',
    isOnlyOneOfItsKind: true,
  },
  'chroma-directory': {
    what: 'a ChromaDB directory',
    kinds: ['chromadb', 'volume', 'directory'],
    store: 'chromadb',
    isOnlyOneOfItsKind: true,
  },
  'neo4j-volume': {
    what: 'a Neo4j volume',
    kinds: ['neo4j', 'volume'],
    store: 'neo4j',
    isOnlyOneOfItsKind: true,
  },
  'neo4j-dump': { what: 'a Neo4j dump', kinds: ['neo4j'], store: 'neo4j', isOnlyOneOfItsKind: true },
  'sqlite-file': {
    what: 'an SQLite database',
    kinds: ['sqlite'],
    store: 'sqlite',
    isOnlyOneOfItsKind: false,
  },
  'sqlite-text': {
    what: 'SQL of SQLite',
    kinds: ['sqlite'],
    store: 'sqlite',
    isOnlyOneOfItsKind: false,
  },
  'memory-system': {
    what: 'a memory system',
    kinds: ['directory'],
    store: 'memory',
    only: ['data'],
    isOnlyOneOfItsKind: false,
  },
  memories: {
    what: 'memories as JSON',
    kinds: ['directory'],
    store: 'memories',
    only: ['memories'],
    isOnlyOneOfItsKind: false,
  },
  files: { what: 'files', kinds: ['volume', 'directory'], store: 'repos', isOnlyOneOfItsKind: false },
  'postgres-text': {
    what: 'SQL of PostgreSQL',
    kinds: ['postgres'],
    store: 'postgres',
    isOnlyOneOfItsKind: true,
  },
  'redis-dump': {
    what: 'a FalkorDB dump',
    kinds: ['falkordb'],
    store: 'falkordb',
    isOnlyOneOfItsKind: true,
  },
};

/** `a ChromaDB volume` */
export const whatIs = (form: OldForm): string => forms[form].what;

export const kindOf = (form: OldForm): Kind => forms[form].kinds[0];

export const restorableAs = (form: OldForm): readonly Kind[] => forms[form].kinds;

export const onlyIn = (form: OldForm): readonly string[] | undefined => forms[form].only;

/**
 * By its name, or the only one of its kind where that says enough: two databases files of one machine have nothing in common,
 * and nobody takes one for the other.
 */
export function storeFor(
  form: OldForm,
  usual: string | undefined,
  stores: readonly { readonly name: string; readonly kind: Kind }[],
): string {
  const { kinds, store, isOnlyOneOfItsKind } = forms[form];
  const name = usual ?? store;
  if (!isOnlyOneOfItsKind || stores.some((one) => one.name === name)) return name;
  const [only, ...others] = stores.filter(({ kind }) => kind === kinds[0]);
  return only && others.length === 0 ? only.name : name;
}
