// A file system of a few megabytes, to run full: for stores of this host, and as a volume of Docker. Linux and root; it
// fails elsewhere rather than skip.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Dockerode from 'dockerode';
import { afterAll } from 'vitest';
import { uniqueName, volumeNamed } from '../docker/bed.ts';

const disks: string[] = [];
afterAll(() => {
  for (const disk of disks) {
    execFileSync('umount', ['--lazy', disk]);
    rmSync(disk, { recursive: true, force: true });
  }
});

export interface SmallDisk {
  /** On it; what is in there is all of the volume. */
  readonly directory: string;
  freeBytes(): number;
  /** From elsewhere on the same disk. */
  fill(leaveBytes: number): void;
  empty(): void;
}

export function makeSmallDisk(sizeBytes: number): SmallDisk {
  const disk = mkdtempSync(join(tmpdir(), 'pkbackup-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'tmpfs', disk]);
  disks.push(disk);
  const directory = join(disk, 'data');
  const filler = join(disk, 'filler');
  mkdirSync(directory);
  const freeBytes = () => {
    const { bavail, bsize } = statfsSync(disk);
    return bavail * bsize;
  };
  const empty = () => rmSync(filler, { force: true });
  return {
    directory,
    freeBytes,
    empty,
    fill(leaveBytes) {
      empty();
      writeFileSync(filler, Buffer.alloc(Math.max(0, freeBytes() - leaveBytes)));
    },
  };
}

export async function makeSmallVolume(sizeBytes: number): Promise<SmallDisk & { readonly name: string }> {
  const disk = makeSmallDisk(sizeBytes);
  const name = volumeNamed(uniqueName('small'));
  await new Dockerode().createVolume({
    Name: name,
    Driver: 'local',
    DriverOpts: { type: 'none', o: 'bind', device: disk.directory },
    Labels: { 'pkbackup.test': '1' },
  });
  return { ...disk, name };
}
