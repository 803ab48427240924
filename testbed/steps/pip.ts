import process from 'node:process';
import { aptInstall } from '../host/apt.ts';
import { oneAtATime } from '../host/one-at-a-time.ts';
import { isOnPath, run } from '../host/run.ts';
import { cacheDir } from '../state.ts';

const machines: Partial<Record<NodeJS.Architecture, string>> = { x64: 'x86_64', arm64: 'aarch64' };

/** The newest C library that a wheel may want: that of Debian bookworm is 2.36. */
const usualPlatforms = ['manylinux2014', 'manylinux_2_28', 'manylinux_2_34'];

/** They share the wheels that are there: none may find half of one. */
const downloadsInTurn = oneAtATime();

/** Installs the wheels of a requirements file (all of them: nothing is resolved) into `dir`, for the given Python on Linux. */
export async function pipInstall(
  dir: string,
  requirements: string,
  python: string,
  platformTags: readonly string[] = usualPlatforms,
): Promise<void> {
  if (!(await isOnPath('pip'))) await aptInstall(['python3-pip']);
  const machine = machines[process.arch] ?? process.arch;
  const platforms = platformTags.map((tag) => `--platform=${tag}_${machine}`);
  const target = [`--python-version=${python}`, '--only-binary=:all:', '--implementation=cp', ...platforms];
  const wheels = await cacheDir('wheels');
  await downloadsInTurn(() =>
    run('pip', [
      'download',
      '--quiet',
      '--no-deps',
      `--find-links=${wheels}`,
      `--dest=${wheels}`,
      ...target,
      '-r',
      requirements,
    ]),
  );
  const offline = [
    '--no-index',
    `--find-links=${wheels}`,
    '--no-deps',
    '--no-compile',
    '--no-warn-script-location',
    // Of the machine's own Python, which runs none of it.
    '--ignore-requires-python',
  ];
  await run('pip', ['install', '--quiet', ...offline, `--target=${dir}`, ...target, '-r', requirements]);
}
