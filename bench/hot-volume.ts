// A volume that nobody uses, held all the same, and its directory, backed up both ways, beside the archivers that read its directory.
import { archivers, tarPigz, tarZstd } from './archivers.ts';
import type { Bench } from './bench.ts';
import type { Contestant } from './contest.ts';
import { hasDocker, mountpointOf, volumeOf } from './docker.ts';
import { project } from './project.ts';
import type { Claim } from './report.ts';

export const gzip = 'pkbackup volume, gzip -6';
export const zstd = 'pkbackup volume, zstd -3';
export const directoryGzip = 'pkbackup directory, gzip -6';
export const directoryZstd = 'pkbackup directory, zstd -3';

export async function compareHot(
  bench: Bench,
  title: string,
  data: { readonly name: string; readonly directory: string },
  bounds: { readonly gzip?: number; readonly zstd?: number },
): Promise<void> {
  const isInDocker = hasDocker(bench);
  const volume = isInDocker ? volumeOf(data.directory, data.name) : undefined;
  const tree = volume === undefined ? data.directory : mountpointOf(volume);
  await bench.compare(
    title,
    [
      ...(volume === undefined
        ? []
        : [
            ours(bench, gzip, { kind: 'volume', volume, quiesce: 'pause', compression: 'gzip' }),
            ours(bench, zstd, { kind: 'volume', volume, quiesce: 'pause', compression: 'zstd' }),
          ]),
      ours(bench, directoryGzip, { kind: 'directory', path: tree, compression: 'gzip' }),
      ours(bench, directoryZstd, { kind: 'directory', path: tree, compression: 'zstd' }),
      ...archivers(bench, tree),
    ],
    [
      ...claimsFor(gzip, tarPigz, bounds.gzip),
      ...claimsFor(directoryGzip, tarPigz, bounds.gzip),
      ...claimsFor(zstd, tarZstd, bounds.zstd),
      ...claimsFor(directoryZstd, tarZstd, bounds.zstd),
    ],
    { tree },
  );
}

function ours(bench: Bench, name: string, store: object): Contestant {
  const { clear, pkbackup, sizeMb } = project(bench, name.replaceAll(/\W+/g, '-'), { data: store });
  return {
    name,
    prepare: clear,
    run: async () => ({ ...(await pkbackup('backup', '--quiet')), sizeMb: sizeMb() }),
  };
}

function claimsFor(name: string, theirs: string, atMost: number | undefined): Claim[] {
  return [
    { figure: 'wallS', ours: name, theirs, ...(atMost === undefined ? {} : { atMost }) },
    { figure: 'cpuS', ours: name, theirs },
    { figure: 'sizeMb', ours: name, theirs },
  ];
}
