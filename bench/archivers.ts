// The tools that people would take for a directory, each writing into an empty one: those that are here.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Bench } from './bench.ts';
import type { Contestant } from './contest.ts';
import { measure } from './measure.ts';
import { megabytesIn, shell, writesInto } from './project.ts';

export const tarPigz = 'tar | pigz -6';
export const tarZstd = 'tar | zstd -T0 -3';
export const restic = 'restic, first backup';
export const borg = 'borg, first backup';

export function archivers(bench: Bench, source: string): Contestant[] {
  const out = (name: string) => join(bench.directory, 'out', name);
  return [
    ...(bench.has('pigz')
      ? [
          {
            name: tarPigz,
            ...writesInto(out('pigz'), (to) =>
              shell('tar -C "$1" -cf - . | pigz -6 > "$2"', source, join(to, 'a.tar.gz')),
            ),
          },
        ]
      : []),
    ...(bench.has('zstd')
      ? [
          {
            name: tarZstd,
            ...writesInto(out('zstd'), (to) =>
              shell('tar -C "$1" -cf - . | zstd -q -T0 -3 -o "$2"', source, join(to, 'a.tar.zst')),
            ),
          },
        ]
      : []),
    ...(bench.has('restic') ? [ofRestic(source, out('restic'))] : []),
    ...(bench.has('borg') ? [ofBorg(source, out('borg'))] : []),
  ];
}

export const resticEnvironment = (repository: string) => ({
  RESTIC_REPOSITORY: repository,
  RESTIC_PASSWORD: 'bench',
});
export const borgEnvironment = (repository: string) => ({
  BORG_REPO: repository,
  BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes',
});

function ofRestic(source: string, repository: string): Contestant {
  const env = resticEnvironment(repository);
  return {
    name: restic,
    prepare: async () => {
      rmSync(repository, { recursive: true, force: true });
      await measure(['restic', 'init', '--no-cache'], { env });
    },
    run: async () => {
      const figures = await measure(['restic', 'backup', '--no-cache', '--quiet', source], { env });
      return { ...figures, sizeMb: megabytesIn(repository) };
    },
  };
}

function ofBorg(source: string, repository: string): Contestant {
  const env = borgEnvironment(repository);
  return {
    name: borg,
    prepare: async () => {
      rmSync(repository, { recursive: true, force: true });
      await measure(['borg', 'init', '--encryption=none'], { env });
    },
    run: async () => {
      const figures = await measure(['borg', 'create', '--compression', 'zstd,3', '::first', '.'], {
        env,
        cwd: source,
      });
      return { ...figures, sizeMb: megabytesIn(repository) };
    },
  };
}
