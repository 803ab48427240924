// Where a server without Docker keeps its data, as this machine sees it: where the server says, or where the configuration
// says that it is mounted here. Whether it is really the server's is seen by its saves: each replaces the dump.
import type { BigIntStats } from 'node:fs';
import { access, constants, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep } from '../../docker/index.ts';
import { messageOf, PkbackupError, systemCodeOf } from '../../errors.ts';
import type { DataFiles, FalkordbServer } from './server.ts';

export interface HostData {
  /** Absolute, and no link. */
  readonly directory: string;
  readonly dump: string;
}

/** Throws `config` where it is not on this machine, or may not be read. */
export async function findHostData(
  { where }: Pick<FalkordbServer, 'where'>,
  files: DataFiles,
  dataPath: string | undefined,
): Promise<HostData> {
  refuseStrangeNames(where, files);
  const said = dataPath ?? files.directory;
  const directory = await realpath(said).catch((error) => {
    throw cannotSee(where, said, dataPath, error);
  });
  const dump = join(directory, files.dump);
  await access(directory, constants.R_OK | constants.X_OK).catch((error) => {
    throw cannotSee(where, said, dataPath, error);
  });
  await access(dump, constants.R_OK).catch((error) => {
    if (systemCodeOf(error) !== 'ENOENT') throw cannotSee(where, dump, dataPath, error);
  });
  return { directory, dump };
}

/** They are put behind the directory: nothing in them leads out of it. */
function refuseStrangeNames(where: string, { dump, appendDirectory, appendFile }: DataFiles): void {
  const strange = [dump, appendDirectory, appendFile].find((name) => /^\.{0,2}$|[/\0]/.test(name));
  if (strange === undefined) return;
  throw new PkbackupError('failed', `${where} says that a file of its data is called "${strange}"`);
}

function cannotSee(where: string, path: string, dataPath: string | undefined, error: unknown): PkbackupError {
  const code = systemCodeOf(error);
  if (code === 'EACCES' || code === 'EPERM') {
    return new PkbackupError('config', `"${path}", the data of ${where}, may not be read by this user`, {
      hint: 'run pkbackup as root, as the user of the server, or as one of its group; nothing was done for this store',
    });
  }
  if (code !== 'ENOENT' && code !== 'ENOTDIR') {
    return new PkbackupError(
      'config',
      `"${path}", the data of ${where}, cannot be read: ${messageOf(error)}`,
    );
  }
  const message =
    dataPath === undefined
      ? `${where} keeps its data in "${path}", which is not on this machine`
      : `"${path}", the data of ${where} by data_path, is not there`;
  return new PkbackupError('config', message, {
    hint: 'run pkbackup on the machine of the server, or mount its data directory here and set data_path of this store to it; nothing was done for this store',
  });
}

/** Tells one dump from another: a save never writes into the old file. */
export type DumpPrint = Pick<BigIntStats, 'dev' | 'ino' | 'size' | 'mtimeNs' | 'ctimeNs'> | undefined;

export async function printOfDump({ dump }: HostData): Promise<DumpPrint> {
  return stat(dump, { bigint: true }).catch((error) => {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  });
}

/** What comes over a network may be seen a moment later. */
const patienceMs = 5000;

/** Throws `code` where the save that has just ended did not replace the dump: the server writes somewhere else. */
export async function refuseUnreplaced(
  { where, signal }: FalkordbServer,
  data: HostData,
  before: DumpPrint,
  code: 'backup_failed' | 'restore_failed',
): Promise<void> {
  const giveUpAt = performance.now() + patienceMs;
  for (;;) {
    const now = await printOfDump(data);
    if (now && !isSame(before, now)) return;
    if (performance.now() > giveUpAt) break;
    await sleep(100, signal);
  }
  const what = before === undefined ? 'is not there' : 'is older';
  throw new PkbackupError(
    code,
    `${where} has saved its data, and "${data.dump}" ${what}: the server writes somewhere else`,
    { hint: 'set data_path of this store to where this machine sees the data directory of that server' },
  );
}

function isSame(before: DumpPrint, now: NonNullable<DumpPrint>): boolean {
  return (
    before !== undefined &&
    (['dev', 'ino', 'mtimeNs', 'ctimeNs'] as const).every((what) => before[what] === now[what])
  );
}
