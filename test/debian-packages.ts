// Programs and libraries of Debian for tests: downloaded by the apt of this machine, unpacked beside the test bed, kept there,
// and never installed.
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { debianMirror } from '../testbed/host/apt.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** The directory that holds what would lie in `/`. */
export function unpackDebianPackages(...packages: string[]): Promise<string> {
  return unpack(packages.join('+'), (cwd) => download(packages, cwd));
}

/** Of a release that may not be this machine's: what they depend on has to be here in any case. */
export function unpackFromSuite(suite: 'trixie', ...packages: string[]): Promise<string> {
  return unpack(`${suite}-${packages.join('+')}`, (cwd) => downloadFrom(suite, packages, cwd));
}

async function unpack(name: string, fetch: (cwd: string) => Promise<void>): Promise<string> {
  const directory = join(root, '.testbed', 'debian-packages', name);
  if (existsSync(directory)) return directory;
  const making = `${directory}.${process.pid}`;
  const debs = join(making, 'debs');
  mkdirSync(debs, { recursive: true });
  await fetch(debs);
  const files = join(making, 'files');
  for (const deb of readdirSync(debs).filter((file) => file.endsWith('.deb')))
    await execa('dpkg-deb', ['-x', join(debs, deb), files]);
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

/** With lists of its own: those of this machine stay as they are. */
async function downloadFrom(suite: string, packages: readonly string[], cwd: string): Promise<void> {
  const { main } = await debianMirror();
  const own = join(cwd, 'apt');
  for (const directory of ['parts', 'lists/partial', 'cache'])
    mkdirSync(join(own, directory), { recursive: true });
  writeFileSync(join(own, 'sources.list'), `deb ${main} ${suite} main\n`);
  const options = [
    `Dir::Etc::SourceList=${join(own, 'sources.list')}`,
    `Dir::Etc::SourceParts=${join(own, 'parts')}`,
    `Dir::State::Lists=${join(own, 'lists')}`,
    `Dir::Cache=${join(own, 'cache')}`,
  ].flatMap((option) => ['-o', option]);
  for (const act of [['update'], ['download', ...packages]]) {
    const { exitCode, stderr } = await execa('apt-get', [...options, ...act], { cwd, reject: false });
    if (exitCode !== 0) throw new Error(`apt-get ${act.join(' ')} of ${suite}: ${stderr}`);
  }
}
