import type { Counts, Kind } from '../words.ts';
import type { OldForm } from './forms.ts';

/** What is told of a file from its content, its name, and what lies beside it. */
export interface OldFile {
  /** Below the directory that was looked through, with `/`. */
  readonly name: string;
  readonly path: string;
  /** `a ChromaDB volume` */
  readonly what: string;
  readonly createdAt: Date;
  readonly sizeBytes: number;
  /** Names of the files of the scripts that belong to it, below the same directory. */
  readonly sidecars: readonly string[];
  /** What people should know of it. */
  readonly notes: readonly string[];
  readonly found: Restorable | Listed;
}

/** It holds what a store needs. */
export interface Restorable {
  readonly form: OldForm;
  readonly kind: Kind;
  readonly store: string;
  /** The name is one that the scripts gave, or what lies beside says that it is theirs. */
  readonly isOfScripts: boolean;
  readonly sha256?: string;
  readonly volume?: string;
  readonly hostname?: string;
  readonly setId?: string;
  readonly counts: Counts;
  readonly databases?: readonly string[];
}

/** It cannot be restored. */
export interface Listed {
  readonly form?: undefined;
  readonly isDamaged: boolean;
  /** Why, for people: `it holds a manifest and links, and no data`. */
  readonly reason: string;
  /** What can be done. */
  readonly hint: string;
  readonly check: 'manifest' | 'json' | 'none';
  /** Of a manifest: the set that its members have. */
  readonly setId?: string;
  /** Of a manifest: what is wrong with it, and the directories of the set's files. */
  readonly findings?: readonly string[];
  readonly members?: readonly string[];
}
