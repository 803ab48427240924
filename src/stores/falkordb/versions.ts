// Which server reads which dump. Both formats only ever grow: an older server cannot read what a newer one wrote.
import { PkbackupError } from '../../errors.ts';
import type { RdbFacts } from './rdb.ts';
import type { Versions } from './server.ts';

/** From a version on: the format of Redis' dump (RDB_VERSION in rdb.h), and of a graph in it (encoding_version.h). */
const dumpFormats = [
  ['7.0', 10],
  ['7.2', 11],
  ['7.4', 12],
  ['8.3', undefined],
] as const;
const graphEncodings = [
  ['4.0', 16],
  ['4.10', 17],
  ['4.12', 18],
  ['4.18', 19],
  ['4.21', undefined],
] as const;

export const textOf = ({ redis, falkordb }: Versions): string =>
  falkordb === undefined ? `redis ${redis}` : `${falkordb} (redis ${redis})`;

type Formats = Pick<RdbFacts, 'format' | 'graphEncoding'>;

/** Of the dumps that this version writes, as far as it is known; 0 otherwise. */
export function formatsOf(version: string): Formats {
  const redis = /redis (\S+?)\)?$/.exec(version)?.[1] ?? '';
  return {
    format: newestFor(dumpFormats, redis) ?? 0,
    graphEncoding: version.startsWith('redis') ? undefined : newestFor(graphEncodings, version),
  };
}

/** Throws where the server is too old for the dump; `wroteIt` is the version that made it, if it is known. */
export function refuseNewer(dump: Formats, server: Versions, wroteIt: string | undefined): void {
  const format = newestFor(dumpFormats, server.redis);
  const encoding = newestFor(graphEncodings, server.falkordb ?? '');
  const isTooNew =
    (format !== undefined && dump.format > format) ||
    (encoding !== undefined && (dump.graphEncoding ?? 0) > encoding);
  if (!isTooNew) return;
  throw new PkbackupError(
    'restore_failed',
    `the backup was made by FalkorDB ${wroteIt ?? 'of a version that is not known'}, and the server is FalkorDB ${textOf(server)}, which cannot read it (dump format ${dump.format}, graph encoding ${dump.graphEncoding ?? 'none'}; expected at most ${format ?? 'any'} and ${encoding ?? 'any'})`,
    { hint: 'restore into a server of the same version or a later one' },
  );
}

/** Undefined for a version that is not known, or later than the table. */
function newestFor(
  table: readonly (readonly [string, number | undefined])[],
  version: string,
): number | undefined {
  return table.findLast(([from]) => compareVersions(version, from) >= 0)?.[1];
}

function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => text.split('.').map((part) => Number.parseInt(part, 10)));
  for (let index = 0; index < 2; index += 1) {
    const difference = (left?.[index] ?? Number.NaN) - (right?.[index] ?? Number.NaN);
    if (difference !== 0) return difference;
  }
  return 0;
}
