// Volumes and a serving container for the scenarios, made with Docker's own command line and labelled, so that all of it can be
// removed.
import { execFileSync } from 'node:child_process';
import { cpSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Bench } from './bench.ts';

const label = 'pkbackup-bench=1';
/** Of the test bed (npm run testbed -- up debian): it has sh, tar, gzip and perl. */
const image = 'pkbackup-test/debian:trixie';

export function docker(...args: string[]): string {
  return execFileSync('docker', args, { encoding: 'utf8', maxBuffer: 1 << 28 }).trim();
}

/** False where there is no Docker, or not the image that the scenarios need; that is said. */
export function hasDocker(bench: Bench, wanted = image): boolean {
  try {
    docker('image', 'inspect', wanted);
    return true;
  } catch {
    bench.say(`Docker or the image ${wanted} is not here: goes on without (npm run testbed -- up)`);
    return false;
  }
}

export function removeAll(what: 'container' | 'volume'): void {
  try {
    const names = docker(
      what,
      'ls',
      '-q',
      '--filter',
      `label=${label}`,
      ...(what === 'container' ? ['-a'] : []),
    );
    for (const name of names.split('\n').filter(Boolean)) docker(what, 'rm', '-f', name);
  } catch {
    // No Docker, nothing to remove.
  }
}

/** A volume with a copy of `directory` in it, kept from one call to the next. */
export function volumeOf(directory: string, name: string): string {
  const volume = `pkbackup-bench-${name}`;
  const known = docker('volume', 'ls', '-q', '--filter', `name=^${volume}$`, '--filter', 'label=filled=1');
  if (known === volume) return volume;
  emptyVolume(volume, ['filled=1']);
  cpSync(directory, mountpointOf(volume), { recursive: true, preserveTimestamps: true });
  return volume;
}

export function emptyVolume(volume: string, labels: readonly string[] = []): string {
  docker('volume', 'rm', '-f', volume);
  docker('volume', 'create', ...[label, ...labels].flatMap((one) => ['--label', one]), volume);
  return volume;
}

/** Only for root on the Engine's own Linux host, which is where the bench runs. */
export function mountpointOf(volume: string): string {
  return docker('volume', 'inspect', '-f', '{{.Mountpoint}}', volume);
}

/** What the replaced scripts do their work in. */
export function helper(mounts: readonly string[], command: readonly string[]): string[] {
  return ['docker', 'run', '--rm', ...mounts.flatMap((mount) => ['-v', mount]), image, ...command];
}

/** Answers with the first byte of a file of its volume; stops at once when it is told to. */
const server = `
use IO::Socket::INET;
$SIG{TERM} = sub { exit 0 };
my $server = IO::Socket::INET->new(LocalPort => 8000, Listen => 64, ReuseAddr => 1) or die;
while (my $client = $server->accept) {
  my $line = <$client>;
  open(my $file, '<', '/data/served') or next;
  read($file, my $byte, 1);
  print $client "HTTP/1.0 200 OK\\r\\n\\r\\n$byte";
  close $client;
}`;

export interface App {
  readonly container: string;
  readonly port: number;
}

/** Serves a file "served" of the volume. */
export async function startApp(volume: string): Promise<App> {
  const container = `${volume}-app`;
  docker('rm', '-f', container);
  const port = await freePort();
  docker(
    ...['run', '-d', '--name', container, '--label', label, '-v', `${volume}:/data`],
    ...['-p', `127.0.0.1:${port}:8000`, image, 'perl', '-e', server],
  );
  return { container, port };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
