// Programs and libraries of Debian for tests: downloaded by the apt of this machine, unpacked beside the test bed, kept there,
// and never installed.
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** The directory that holds what would lie in `/`. */
export async function unpackDebianPackages(...packages: string[]): Promise<string> {
  const directory = join(root, '.testbed', 'debian-packages', packages.join('+'));
  if (existsSync(directory)) return directory;
  const making = `${directory}.${process.pid}`;
  const debs = join(making, 'debs');
  mkdirSync(debs, { recursive: true });
  await download(packages, debs);
  const files = join(making, 'files');
  for (const deb of readdirSync(debs)) await execa('dpkg-deb', ['-x', join(debs, deb), files]);
  // Another test process may have been faster.
  if (!existsSync(directory)) renameSync(files, directory);
  rmSync(making, { recursive: true, force: true });
  return directory;
}

async function download(packages: readonly string[], cwd: string): Promise<void> {
  const get = () => execa('apt-get', ['download', ...packages], { cwd, reject: false });
  if ((await get()).exitCode === 0) return;
  // On a fresh machine apt does not know its packages yet.
  await execa('apt-get', ['update'], { reject: false });
  const { exitCode, stderr } = await get();
  if (exitCode !== 0) throw new Error(`apt-get download ${packages.join(' ')}: ${stderr}`);
}
