// Everything that a hostile archive may try, and what a restore makes of it: into a directory of this host, where we unpack,
// and into a volume, where the Docker Engine does, as root.
import { encodeEntry } from '../../src/archive/tar-format.ts';
import type { Metadata } from '../../src/repository/index.ts';
import { makeTar, type Piece } from '../archive/gather.ts';

/** Refused with this message; or restored like everything else, because data may well be like that. */
export type Outcome = RegExp | 'restored';

export interface HostileArchive {
  readonly what: string;
  readonly pieces: readonly Piece[];
  readonly metadata?: Partial<Metadata>;
  /** The same for both where there is one. */
  readonly outcome: Outcome | { readonly directory: Outcome; readonly volume: Outcome };
}

/** What comes first in each of them, and is never to be seen. */
const before: Piece[] = [{ path: './' }, { path: './innocent', data: 'innocent' }];
export const tarOf = ({ pieces }: HostileArchive): Buffer => makeTar([...before, ...pieces]);

/** Where it would land; must not be there afterwards, or as it was. */
export const outside = 'pkbackup-outside';
const through = /goes through a symlink of the archive/;

/** Headers of its own in the data of an entry: for who takes an entry for something else than the next one does. */
const smuggled = Buffer.concat([
  encodeEntry({
    path: Buffer.from(`volume/${outside}`),
    type: 'file',
    size: 0,
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtime: 0,
  }),
]).toString('latin1');

export const hostileArchives: readonly HostileArchive[] = [
  { what: 'an absolute name', pieces: [{ path: `/tmp/${outside}`, data: 'x' }], outcome: /is absolute/ },
  { what: 'a name that goes up', pieces: [{ path: `./a/../../${outside}`, data: 'x' }], outcome: /goes up/ },
  { what: 'only ".."', pieces: [{ path: '../' }], outcome: /goes up/ },
  { what: 'an empty name', pieces: [{ path: '', data: 'x' }], outcome: /is empty/ },
  {
    what: 'a name with a NUL',
    pieces: [{ path: 'a', pax: new Map([['path', Buffer.from('a\0b')]]), data: 'x' }],
    outcome: /holds a NUL/,
  },
  {
    what: 'a name that no system holds',
    pieces: [{ path: `./${'d/'.repeat(20_000)}` }],
    outcome: /is too long/,
  },
  {
    what: 'a file through a symlink that leaves the root',
    pieces: [
      { path: './out', type: 'symlink', linkPath: '..' },
      { path: `./out/${outside}`, data: 'x' },
    ],
    outcome: through,
  },
  {
    what: 'a file through a symlink to an absolute name',
    pieces: [
      { path: './out', type: 'symlink', linkPath: '/tmp' },
      { path: `./out/${outside}`, data: 'x' },
    ],
    outcome: through,
  },
  {
    what: 'a file through a symlink that stays inside',
    pieces: [{ path: './d/' }, { path: './l', type: 'symlink', linkPath: 'd' }, { path: './l/x', data: 'x' }],
    outcome: through,
  },
  {
    what: 'a file through a hard link to a symlink',
    pieces: [
      { path: './s', type: 'symlink', linkPath: '..' },
      { path: './h', type: 'link', linkPath: './s' },
      { path: `./h/${outside}`, data: 'x' },
    ],
    outcome: through,
  },
  {
    what: 'a file over a symlink to the present data',
    pieces: [
      { path: './l', type: 'symlink', linkPath: '../present' },
      { path: './l', data: 'x' },
    ],
    outcome: /"\.\/l", which is a symlink of the archive as well/,
  },
  {
    what: 'a directory over a symlink',
    pieces: [{ path: './l', type: 'symlink', linkPath: '..' }, { path: './l/' }],
    outcome: /is a symlink of the archive as well/,
  },
  {
    what: 'a hard link to an absolute name',
    pieces: [{ path: './l', type: 'link', linkPath: '/etc/passwd' }],
    outcome: /is absolute/,
  },
  {
    what: 'a hard link that goes up',
    pieces: [{ path: './l', type: 'link', linkPath: '../present' }],
    outcome: /goes up/,
  },
  {
    what: 'a hard link through a symlink',
    pieces: [
      { path: './up', type: 'symlink', linkPath: '..' },
      { path: './l', type: 'link', linkPath: './up/present' },
    ],
    outcome: through,
  },
  {
    what: 'a hard link to nothing',
    pieces: [{ path: './l', type: 'link', linkPath: './none' }],
    outcome: { directory: /no file that came before it/, volume: /Docker|no such file/ },
  },
  {
    what: 'a character device',
    pieces: [{ path: './mem', type: 'character-device', devMajor: 1, devMinor: 1 }],
    outcome: /is a device/,
  },
  {
    what: 'a block device',
    pieces: [{ path: './sda', type: 'block-device', devMajor: 8 }],
    outcome: /is a device/,
  },
  {
    what: 'a root that is a file, with headers in it',
    pieces: [{ path: './.', type: 'file', data: smuggled }],
    outcome: /is not a directory/,
  },
  {
    what: 'a root that is a symlink',
    pieces: [{ path: '.', type: 'symlink', linkPath: '/tmp' }],
    outcome: /is not a directory/,
  },
  {
    what: 'a file twice',
    pieces: [
      { path: './a', data: '1' },
      { path: 'a', data: '2' },
    ],
    outcome: { directory: /"a" twice/, volume: /is not what was sent/ },
  },
  {
    what: 'a file in a file',
    pieces: [
      { path: './a', data: '1' },
      { path: './a/b', data: '2' },
    ],
    outcome: { directory: /twice/, volume: /not a directory/ },
  },
  {
    what: 'more than its metadata says',
    pieces: [{ path: './zeros', data: '\0'.repeat(20_000_000) }],
    metadata: { raw_size_bytes: 10_240 },
    outcome: /holds more than the 10240 bytes of tar that its metadata says/,
  },
  {
    what: 'more entries than its metadata says',
    pieces: Array.from({ length: 2000 }, (_, n) => ({ path: `./${n}` })),
    metadata: { entries: 10 },
    outcome: /has 2002 entries, its metadata says 10/,
  },
  {
    what: 'names of our own',
    pieces: [{ path: './.pkbackup-previous-01234567/x', data: 'x' }],
    outcome: /a name that pkbackup uses itself/,
  },
  {
    what: 'set-id bits',
    pieces: [{ path: './tool', data: '#!/bin/sh', mode: 0o6755 }],
    outcome: 'restored',
  },
  { what: 'a fifo', pieces: [{ path: './pipe', type: 'fifo' }], outcome: 'restored' },
  {
    what: 'names that differ in their case only',
    pieces: [
      { path: './name', data: '1' },
      { path: './NAME', data: '2' },
    ],
    outcome: 'restored',
  },
  {
    what: 'names that Windows cannot hold',
    pieces: ['nul', 'a:b', 'back\\slash', 'ends.', 'q?'].map((name) => ({ path: `./${name}`, data: name })),
    outcome: 'restored',
  },
  {
    what: 'symlinks to anywhere that nothing goes through',
    pieces: [
      { path: './abs', type: 'symlink', linkPath: '/etc/passwd' },
      { path: './up', type: 'symlink', linkPath: '../../..' },
      { path: './up2', type: 'link', linkPath: './up' },
    ],
    outcome: 'restored',
  },
];

export function outcomeFor({ outcome }: HostileArchive, where: 'directory' | 'volume'): Outcome {
  return outcome === 'restored' || outcome instanceof RegExp ? outcome : outcome[where];
}
