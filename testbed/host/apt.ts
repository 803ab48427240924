// What the host's own apt is set up to use: mirrors, proxies and keys come from there and are named nowhere in the project.
import { existsSync } from 'node:fs';
import process from 'node:process';
import { missing } from '../errors.ts';
import { oneAtATime } from './one-at-a-time.ts';
import { run } from './run.ts';

export const isRoot = process.getuid?.() === 0;

/** Installs packages of the host with apt; needs root on a Debian-like system. */
export async function aptInstall(packages: string[]): Promise<void> {
  const list = packages.join(' ');
  if (!existsSync('/usr/bin/apt-get'))
    throw missing(
      `"${list}" is not installed`,
      `install ${list}; the test bed can do it by itself on Debian only`,
    );
  if (!isRoot) throw missing(`"${list}" is not installed`, `run "apt-get install ${list}" as root`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const patient = ['-o', 'DPkg::Lock::Timeout=300'];
  await inTurn(async () => {
    await run('apt-get', ['update', ...patient], { env });
    await run('apt-get', ['install', '-y', '--no-install-recommends', ...patient, ...packages], { env });
  });
}

/** apt waits for another one that installs, but not for one that updates its lists. */
const inTurn = oneAtATime();

export interface DebianMirror {
  main: string;
  security: string | undefined;
}

/** The Debian mirror that the host's apt uses. */
export async function debianMirror(): Promise<DebianMirror> {
  const known = await configuredMirror();
  if (known) return known;
  // Origin and label are only known once the Release files are there.
  if (isRoot) await inTurn(() => run('apt-get', ['update']));
  const fetched = await configuredMirror();
  if (fetched) return fetched;
  throw missing(
    'apt on this machine has no Debian mirror',
    'images are built on Debian; add a Debian source to apt and run "apt-get update"',
  );
}

async function configuredMirror(): Promise<DebianMirror | undefined> {
  if (!existsSync('/usr/bin/apt-get')) return undefined;
  const format = '$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(CREATED_BY)|$(REPO_URI)';
  const targets = (await run('apt-get', ['indextargets', '--format', format])).split('\n');
  const uriOf = (label: string) =>
    targets.find((line) => line.startsWith(`Debian|${label}|main|Packages|`))?.split('|')[4];
  const main = uriOf('Debian');
  return main === undefined ? undefined : { main, security: uriOf('Debian-Security') };
}

/** Proxy, certificate and validity settings of the host's apt, as lines of apt.conf. */
export async function downloadSettings(): Promise<string[]> {
  const dump = await run('apt-config', ['dump', 'Acquire']);
  return dump
    .split('\n')
    .filter((line) =>
      /^Acquire::(?:https?|ftp|socks5h|Check-|Retries|AllowInsecure)[^\s]* "[^"]+";$/i.test(line),
    );
}
