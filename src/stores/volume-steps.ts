// The steps of a restore that a process has to do inside the volume: renaming and removing. One fixed script, run by the
// `sh` of an image that is here; names come as arguments.
//
// The directories say how far a swap has come, so every step can be done again after it broke off anywhere:
//   staged                     staged, nothing swapped
//   staged, previous.part      present entries are on their way aside
//   staged, previous           all are aside; staged entries are on their way in
//   previous                   swapped
//   staged, back               rolling back: previous entries are on their way in
import { scanTar } from '../archive/tar-scan.ts';
import type { Docker, PreparedRun, RunResult } from '../docker/index.ts';
import { PkbackupError } from '../errors.ts';
import { dataPath, describePlace, mountPoint, openHelper, ownPrefix, type Place } from './volume-place.ts';

export type Step = 'flush' | 'swap' | 'rollback' | 'discard';

/** Run with `sh -c`; arguments: step, directory of the data, id of the restore. Exported for its test. */
export const stepScript = `
set -eu
step=$1 base=$2 id=$3
staged=$base/${ownPrefix}staged-$id
previous=$base/${ownPrefix}previous-$id
part=$previous.part
back=$base/${ownPrefix}back-$id
move() {
  for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    if [ ! -e "$entry" ] && [ ! -L "$entry" ]; then continue; fi
    name=\${entry##*/}
    case "$name" in ${ownPrefix}*) continue ;; esac
    # Made meanwhile by a server that was started on what a crash had left.
    if [ "$step" = rollback ] && { [ -e "$2/$name" ] || [ -L "$2/$name" ]; }; then rm -rf -- "$2/$name"; fi
    mv -f -- "$entry" "$2/"
  done
}
case $step in
flush) sync ;;
swap)
  if [ ! -d "$previous" ]; then
    if [ ! -d "$staged" ]; then echo "nothing is staged" >&2; exit 3; fi
    mkdir -p -- "$part"
    move "$base" "$part"
    mv -- "$part" "$previous"
  fi
  if [ -d "$staged" ]; then
    move "$staged" "$base"
    rmdir -- "$staged"
  fi ;;
rollback)
  if [ -d "$previous" ]; then
    mkdir -p -- "$staged"
    move "$base" "$staged"
    mv -- "$previous" "$back"
  fi
  for from in "$part" "$back"; do
    if [ -d "$from" ]; then
      move "$from" "$base"
      rmdir -- "$from"
    fi
  done
  rm -rf -- "$staged" ;;
discard)
  if [ -d "$part" ]; then rmdir -- "$part"; fi
  if [ -d "$back" ]; then echo "a rollback is not finished" >&2; exit 3; fi
  if [ -d "$previous" ] && [ -d "$staged" ]; then echo "the swap is not finished" >&2; exit 3; fi
  rm -rf -- "$staged" "$previous" ;;
esac
`;

const stepDeadlineMs = 600_000;
const imagesToTry = 24;
const programs = ['/bin/sh', '/bin/mv', '/bin/rm', '/bin/mkdir', '/bin/rmdir'];

/** The place with an image first that has a shell and the few programs of the script; undefined where none has. */
export async function withShell(
  docker: Docker,
  place: Place,
  signal: AbortSignal,
): Promise<Place | undefined> {
  for (const image of place.images.slice(0, imagesToTry)) {
    const candidate = { ...place, images: [image, ...place.images.filter((other) => other !== image)] };
    // Without the volume: it may be missing, and a mount would make it.
    await using helper = await docker.createHelper({ image, mounts: [], signal });
    const stats = await Promise.all(programs.map((path) => docker.pathStat(helper.id, path, { signal })));
    if (stats.every((stat) => stat !== undefined)) return candidate;
  }
  return undefined;
}

/** Ready to run, so that the store is down only as long as the step itself takes. Never cut short by a signal. */
export function prepareStep(docker: Docker, place: Place, step: Step, id: string): Promise<PreparedRun> {
  const [image = ''] = place.images;
  return docker.prepareRun({
    image,
    mounts: [{ source: place.source, target: mountPoint, isReadOnly: false }],
    command: ['/bin/sh', '-c', stepScript, 'sh', step, dataPath(place), id],
    restoreId: id,
    env: { LC_ALL: 'C', PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
    deadlineMs: stepDeadlineMs,
  });
}

export async function runStep(docker: Docker, place: Place, step: Step, id: string): Promise<void> {
  await using prepared = await prepareStep(docker, place, step, id);
  refuseFailure(await prepared.run(), place, step);
}

const listScript =
  'cd -- "$1" && for entry in * .[!.]* ..?*; do if [ -e "$entry" ] || [ -L "$entry" ]; then printf "%s\\0" "$entry"; fi; done';

/** The names in the data's directory, also while a server makes and removes files there. */
export async function namesIn(docker: Docker, place: Place, signal: AbortSignal): Promise<string[]> {
  const { images: [image] = [] } = (await withShell(docker, place, signal)) ?? {};
  if (image === undefined) return namesInTar(docker, place, signal);
  const listed = await docker.run({
    image,
    mounts: [{ source: place.source, target: mountPoint, isReadOnly: true }],
    command: ['/bin/sh', '-c', listScript, 'sh', dataPath(place)],
    env: { LC_ALL: 'C' },
    signal,
  });
  if (listed.exitCode === 0) return listed.stdout.split('\0').filter((name) => name !== '');
  const said = listed.stderr.trim() || `exit code ${listed.exitCode}`;
  throw new PkbackupError('restore_failed', `${describePlace(place)} cannot be listed: ${said}`);
}

/** Without a shell all of it has to be read for its names. */
async function namesInTar(docker: Docker, place: Place, signal: AbortSignal): Promise<string[]> {
  const names = new Set<string>();
  await using helper = await openHelper(docker, place, { isReadOnly: true, signal });
  for await (const piece of scanTar(docker.readArchive(helper.id, `${dataPath(place)}/.`, { signal }))) {
    if (piece.type !== 'entry') continue;
    const [first] = piece.entry.path
      .toString()
      .split('/')
      .filter((part) => part !== '' && part !== '.');
    if (first !== undefined) names.add(first);
  }
  return [...names];
}

export function refuseFailure({ exitCode, stderr }: RunResult, place: Place, step: Step): void {
  if (exitCode === 0) return;
  const said = stderr.trim().split('\n').at(-1);
  throw new PkbackupError('failed', `${step} in ${describePlace(place)}: ${said || `exit code ${exitCode}`}`);
}
