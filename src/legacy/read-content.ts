// The content of a store out of a file of any form, as the tar that its kind takes. Reading ends only where all of the file
// was whole; else it throws `bad_backup`.
import { basename } from 'node:path';
import { type ReadOptions, readArchive } from '../archive/read-archive.ts';
import type { OldForm } from './forms.ts';
import { readMemories } from './read-memories.ts';
import { type Rules, readSingleFile } from './read-single-file.ts';
import { readTree } from './read-tree.ts';

/** `form` is missing for archives of pkbackup itself. */
export function readContent(
  path: string,
  form: OldForm | undefined,
  given: ReadOptions,
): AsyncGenerator<Buffer> {
  if (form === undefined) return readArchive(path, given);
  // Who makes a tar of what never was one keeps some of it.
  const options = { ...given, isFleeting: false };
  switch (form) {
    case 'chroma-directory':
      return readTree(readArchive(path, options), { root: 'chroma' });
    case 'memory-system':
      return readTree(readArchive(path, options), {
        root: 'memory-system',
        only: 'data',
        parse: /^data\/memories\/[^/]+\.json$/,
      });
    case 'memories':
      return readMemories(path, options);
    case 'sqlite-file':
    case 'sqlite-text':
    case 'neo4j-dump':
    case 'postgres-text':
    case 'redis-dump':
      return readSingleFile(path, singleFiles[form](path), options);
    default:
      return readArchive(path, options);
  }
}

const withoutGzip = (path: string) => basename(path).replace(/\.gz$/, '');

const singleFiles: Readonly<
  Record<
    Extract<OldForm, 'sqlite-file' | 'sqlite-text' | 'neo4j-dump' | 'postgres-text' | 'redis-dump'>,
    (path: string) => Rules
  >
> = {
  'sqlite-file': (path) => ({ name: withoutGzip(path), start: /^SQLite format 3\0/ }),
  'sqlite-text': () => ({
    name: 'dump.sql',
    start: /^(\xef\xbb\xbf)?\s*PRAGMA foreign_keys=OFF;/,
    end: /(^|[\n;])\s*COMMIT;\s*$/,
    endsWith: 'COMMIT;',
  }),
  // It is unpacked by a user of its own, in a container.
  'neo4j-dump': (path) => ({ name: withoutGzip(path), start: /^D[ZG]V1/, mode: 0o644, isPackedBehind: 4 }),
  'postgres-text': () => ({
    name: 'dump.sql',
    start: /^(\xef\xbb\xbf)?\s*--\r*\n-- PostgreSQL database (cluster )?dump\r*\n/,
    end: /\n-- PostgreSQL database (cluster )?dump complete\r*\n--\s*(\\unrestrict \w+\s*)?$/,
    endsWith: '-- PostgreSQL database dump complete',
  }),
  'redis-dump': () => ({ name: 'dump.rdb', start: /^REDIS\d{4}/ }),
};
