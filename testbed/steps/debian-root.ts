import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { aptInstall, debianMirror, downloadSettings, isRoot } from '../host/apt.ts';
import { isOnPath, run } from '../host/run.ts';
import { cacheDir } from '../state.ts';

export type Suite = 'bookworm' | 'trixie';

export interface DebianRoot {
  suite: Suite;
  /** Packages on top of the smallest set that has apt. */
  packages: string[];
  /** Shell lines run on the host before the packages are set up; `$1` is the new root. */
  earlyHooks?: string[];
  /** The same, once all packages are set up. */
  hooks?: string[];
}

const leftOut = [
  '/usr/share/doc/*',
  '/usr/share/man/*',
  '/usr/share/info/*',
  '/usr/share/locale/*',
  '/usr/share/lintian/*',
];

/** Writes a root file system of Debian as one tar file. */
export async function writeDebianRoot(
  { suite, packages, earlyHooks = [], hooks = [] }: DebianRoot,
  tarFile: string,
): Promise<void> {
  if (!(await isOnPath('mmdebstrap'))) await aptInstall(['mmdebstrap']);
  await ensureKeyring(suite);
  const debs = await cacheDir(`debs-${suite}`);
  await mmdebstrap([
    '--variant=minbase',
    '--format=tar',
    `--include=${packages.join(',')}`,
    ...leftOut.map((path) => `--dpkgopt=path-exclude=${path}`),
    ...(await downloadSettings()).map((line) => `--aptopt=${line}`),
    ...keepDebs(debs),
    ...earlyHooks.map((hook) => `--essential-hook=${hook}`),
    ...hooks.map((hook) => `--customize-hook=${hook}`),
    '--customize-hook=rm -f "$1"/etc/apt/sources.list "$1"/etc/apt/apt.conf.d/99mmdebstrap',
    suite,
    tarFile,
    ...(await sources(suite)),
  ]);
}

/** Root mounts /proc and more in the new root: in a namespace of its own, nothing stays mounted when it is killed. */
function mmdebstrap(args: string[]): Promise<string> {
  return isRoot
    ? run('unshare', ['--mount', '--propagation=private', 'mmdebstrap', ...args])
    : run('mmdebstrap', args);
}

/** The recipe for a package cache from the manual page of mmdebstrap: archives go in before apt runs and come back after. */
function keepDebs(debs: string): string[] {
  return [
    '--skip=download/empty',
    '--skip=essential/unlink',
    '--setup-hook=mkdir -p "$1"/var/cache/apt/archives',
    `--setup-hook=sync-in '${debs}' /var/cache/apt/archives`,
    `--customize-hook=sync-out /var/cache/apt/archives '${debs}'`,
  ];
}

async function sources(suite: Suite): Promise<string[]> {
  const { main, security } = await debianMirror();
  const lines = [`deb ${main} ${suite} main`, `deb ${main} ${suite}-updates main`];
  return security === undefined ? lines : [...lines, `deb ${security} ${suite}-security main`];
}

/** An older host gets the keys of a newer suite by an update of the keyring package, from its own signed sources. */
async function ensureKeyring(suite: Suite): Promise<void> {
  if (!existsSync(join('/usr/share/keyrings', `debian-archive-${suite}-stable.gpg`)))
    await aptInstall(['debian-archive-keyring']);
}
