// neo4j-admin, in containers of its own made from the server's image: another version refuses the files. They have no
// network and run as the owner of the data. Dumps lie in the file system of such a container, so that nothing of ours
// ever is in the volume, and go with it.
import { encodeEntry, endOfArchive } from '../../archive/tar-format.ts';
import type { Docker, HelperMount, PreparedRun, RunResult } from '../../docker/index.ts';
import { PkbackupError } from '../../errors.ts';

export interface AdminImage {
  readonly docker: Docker;
  /** Id or name; MUST be here. */
  readonly image: string;
  readonly signal: AbortSignal;
}

/** Where the data of a server lies, to be mounted where the image expects it. */
export interface AdminData extends AdminImage {
  /** Volume or host path. */
  readonly source: string;
  /** `7474:7474` */
  readonly owner: string;
}

export const dumpDirectory = '/tmp/pkbackup-dumps';
/** Of the user `neo4j` in the official images. */
export const usualOwner = '7474:7474';
const dataDirectory = '/data';
const minutes = 60_000;
const adminDeadlineMs = 2 * minutes;
const workDeadlineMs = 12 * 60 * minutes;
const recoveryDeadlineMs = 60 * minutes;

/** What neo4j-admin says of files that were not closed. */
const uncleanMark = 'Active logical log detected';

/**
 * The server is started where nobody can reach it, and stopped when it says that it runs. Without network it does not know
 * its own host name, and would not start.
 */
const recoveryScript = `
set -eu
echo "127.0.0.1 localhost $(hostname)" >/tmp/pkbackup-hosts
export JAVA_TOOL_OPTIONS=-Djdk.net.hosts.file=/tmp/pkbackup-hosts
run=$(neo4j console --dry-run)
log=/tmp/pkbackup-server.log
: >$log
eval "exec $run" >$log 2>&1 &
server=$!
until grep -q ' Started\\.' $log; do
  kill -0 $server 2>/dev/null || { tail -5 $log >&2; exit 3; }
  sleep 0.2
done
kill -TERM $server
wait $server || [ $? = 143 ]
`;

/** `5.26.0` */
export async function versionOfImage(admin: AdminImage): Promise<string | undefined> {
  const { stdout } = await runAdmin(admin, ['--version'], { user: usualOwner });
  return /\d+\.\d+(\.\d+)?/.exec(stdout)?.[0];
}

/** A run that has ended, with dumps of all databases in `dumpDirectory`. Dispose it. The server MUST be stopped. */
export async function dumpAll(data: AdminData, onUnclean: () => void): Promise<PreparedRun> {
  const first = await dumpOnce(data);
  if (first.run) return first.run;
  if (!isUnclean(first.result)) throw adminFailed('dump', first.result);
  onUnclean();
  await recover(data);
  const second = await dumpOnce(data);
  if (second.run) return second.run;
  throw adminFailed('dump', second.result);
}

async function dumpOnce(data: AdminData): Promise<{ run?: PreparedRun; result: RunResult }> {
  const command = ['database', 'dump', `--to-path=${dumpDirectory}`, '--overwrite-destination', '*'];
  const run = await prepareAdmin(data, command, { mounts: [dataMount(data)], user: data.owner });
  try {
    await makeDumpDirectory(data, run.id);
    const result = await run.run();
    if (result.exitCode === 0) return { run, result };
    await run.remove();
    return { result };
  } catch (error) {
    await run.remove();
    throw error;
  }
}

async function recover(data: AdminData): Promise<void> {
  const { docker, image, owner, signal } = data;
  const result = await docker.run({
    image,
    mounts: [dataMount(data)],
    command: ['/bin/bash', '-c', recoveryScript],
    user: owner,
    signal,
    deadlineMs: recoveryDeadlineMs,
  });
  if (result.exitCode !== 0) throw adminFailed('recovery', result);
}

export const isUnclean = ({ stdout, stderr }: RunResult): boolean =>
  `${stdout}${stderr}`.includes(uncleanMark);

/** The dumps as a tar, with names such as `./neo4j.dump`. */
export function readDumps(docker: Docker, run: PreparedRun, signal: AbortSignal): AsyncGenerator<Buffer> {
  return docker.readArchive(run.id, `${dumpDirectory}/.`, { signal });
}

/**
 * Loads dumps into a container of its own; when it has ended, `dataDirectory` in there holds the databases. Dispose it.
 * `dumps` is a tar with names such as `./neo4j.dump`.
 */
export async function loadAll(
  admin: AdminImage & { readonly owner: string },
  dumps: AsyncIterable<Buffer>,
): Promise<PreparedRun> {
  const command = ['database', 'load', `--from-path=${dumpDirectory}`, '--overwrite-destination', '*'];
  const run = await prepareAdmin(admin, command, { user: admin.owner });
  try {
    await makeDumpDirectory(admin, run.id);
    await admin.docker.writeArchive(run.id, dumpDirectory, dumps, { signal: admin.signal });
    const result = await run.run();
    if (result.exitCode !== 0) throw adminFailed('load', result);
    return run;
  } catch (error) {
    await run.remove();
    throw error;
  }
}

/** What was loaded, as the content of a data directory. */
export function readLoaded(docker: Docker, run: PreparedRun, signal: AbortSignal): AsyncGenerator<Buffer> {
  return docker.readArchive(run.id, `${dataDirectory}/.`, { signal });
}

export interface Checked {
  readonly database: string;
  /** Undefined where it is sound. */
  readonly finding?: string;
}

const resultMark = 'pkbackup-result';
/**
 * One container for all of them, because the content has to be brought into it. What a killed or paused server has left can
 * only be checked when a server has recovered it, all databases at once.
 */
const checkScript = `
from=$1
shift
log=/tmp/pkbackup-check.log
check() {
  neo4j-admin database check --report-path=/tmp $from "$1" >$log 2>&1
}
for name; do
  check "$name" && code=0 || code=$?
  if [ $code != 0 ] && grep -q '${uncleanMark}' $log; then
    if /bin/bash -c "$0" >$log 2>&1; then check "$name" && code=0 || code=$?; fi
  fi
  echo "${resultMark} $code $name"
  [ $code = 0 ] || tail -50 $log
done
`;

/** Runs `neo4j-admin database check` on each of the databases. `content` is a data directory, or dumps. */
export async function checkDatabases(
  admin: AdminImage,
  databases: readonly string[],
  content: AsyncIterable<Buffer>,
  form: 'files' | 'dumps',
): Promise<Checked[]> {
  const { docker, image, signal } = admin;
  const from = form === 'dumps' ? `--from-path=${dumpDirectory} --temp-path=/tmp` : '';
  // As root, because the files belong to whomever the archive says.
  const user = '0:0';
  const command = ['/bin/bash', '-c', checkScript, recoveryScript, from, ...databases] as const;
  await using run = await docker.prepareRun({
    image,
    mounts: [],
    command: [...command],
    user,
    signal,
    deadlineMs: workDeadlineMs,
  });
  await makeDumpDirectory({ ...admin, owner: user }, run.id);
  const target = form === 'dumps' ? dumpDirectory : dataDirectory;
  await docker.writeArchive(run.id, target, content, { signal });
  const result = await run.run();
  const parts = result.stdout.split(`${resultMark} `).slice(1);
  if (result.exitCode !== 0 && parts.length < databases.length) throw adminFailed('check', result);
  return parts.map((part) => checkedOf(part));
}

function checkedOf(part: string): Checked {
  const [, code = '', database = '', log = ''] = /^(\d+) (.*)\n([\s\S]*)$/.exec(part) ?? [];
  if (code === '0') return { database };
  return { database, finding: saidBy({ exitCode: Number(code), stdout: log, stderr: '' }) };
}

async function runAdmin(
  admin: AdminImage,
  args: readonly string[],
  how: { user: string; mounts?: readonly HelperMount[] },
): Promise<RunResult> {
  const { docker, image, signal } = admin;
  return docker.run({
    image,
    mounts: how.mounts ?? [],
    command: ['neo4j-admin', ...args],
    user: how.user,
    signal,
    deadlineMs: adminDeadlineMs,
  });
}

function prepareAdmin(
  { docker, image, signal }: AdminImage,
  args: readonly string[],
  how: { user: string; mounts?: readonly HelperMount[] },
): Promise<PreparedRun> {
  return docker.prepareRun({
    image,
    mounts: how.mounts ?? [],
    command: ['neo4j-admin', ...args],
    user: how.user,
    signal,
    deadlineMs: workDeadlineMs,
  });
}

const dataMount = ({ source }: AdminData): HelperMount => ({
  source,
  target: dataDirectory,
  isReadOnly: false,
});

async function makeDumpDirectory(data: AdminImage & { owner: string }, runId: string): Promise<void> {
  const [uid = 0, gid = 0] = data.owner.split(':').map(Number);
  const name = `${dumpDirectory.split('/').at(-1)}/`;
  const mtime = Math.floor(Date.now() / 1000);
  const entry = {
    path: Buffer.from(name),
    type: 'directory',
    size: 0,
    mode: 0o700,
    uid,
    gid,
    mtime,
  } as const;
  async function* tar() {
    yield Buffer.concat([encodeEntry(entry), endOfArchive]);
  }
  await data.docker.writeArchive(runId, '/tmp', tar(), { signal: data.signal });
}

/** Its output is a log; what went wrong is the last line that says so. */
function saidBy({ exitCode, stdout, stderr }: RunResult): string {
  const lines = `${stdout}\n${stderr}`.split('\n').map((line) => line.trim());
  const isNoise = (line: string) =>
    line === '' || line.startsWith('at ') || /^Run with|^To perform|^\.\.\. \d+ more/.test(line);
  const telling = lines.filter((line) => !isNoise(line));
  const error = telling.findLast((line) => /ERROR|failed|inconsistenc|Exception/i.test(line));
  const line = error ?? telling.at(-1) ?? '';
  const plain = line.replace(/^\d{4}-\S+ \S+ [A-Z]+\s+(\[[^\]]*\] )?/, '');
  return plain === '' ? `exit code ${exitCode}` : plain;
}

export function adminFailed(what: string, result: RunResult): PkbackupError {
  return new PkbackupError('failed', `neo4j-admin ${what}: ${saidBy(result)}`);
}
