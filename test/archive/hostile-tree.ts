// A directory with everything that a round trip can lose, and a way to describe a tree entry by entry.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';

export const isRoot = process.getuid?.() === 0;
const notUtf8 = Buffer.from([0x62, 0xff, 0xfe, 0x64]);

export function makeHostileTree(root: string): void {
  fs.mkdirSync(root);
  const put = (name: string | Buffer, content: string | Buffer = '') =>
    fs.writeFileSync(at(root, name), content);
  fs.mkdirSync(join(root, 'empty'));
  fs.mkdirSync(join(root, 'deep/er/still'), { recursive: true });
  put('deep/er/still/file.txt', 'deep');
  put('zero');
  put('exactly-512', Buffer.alloc(512, 1));
  put('large.bin', Buffer.alloc(3 * 1024 * 1024 + 17, 7));
  put('x'.repeat(255), 'name of 255 bytes');
  put('ü-é-漢字-🙂.txt', 'unicode');
  put(' leading space and "quotes" $(x) \n newline', 'odd');
  if (process.platform === 'linux') put(notUtf8, 'not UTF-8');
  put('first-name', 'hard link');
  fs.linkSync(join(root, 'first-name'), join(root, 'deep/second-name'));
  put('linked-large', Buffer.alloc(700_000, 3));
  fs.linkSync(join(root, 'linked-large'), join(root, 'zz-linked-large'));
  fs.symlinkSync('/nowhere/absolute', join(root, 'absolute-link'));
  fs.symlinkSync('../../dangling', join(root, 'deep/dangling-link'));
  fs.symlinkSync('deep', join(root, 'link-to-directory'));
  fs.symlinkSync('y'.repeat(300), join(root, 'link-with-long-target'));
  execFileSync('mkfifo', [join(root, 'fifo')]);
  put('sparse', '');
  fs.truncateSync(join(root, 'sparse'), 5_000_000);
  put('no-permissions', 'mode 000');
  put('set-id', 'mode 6755');
  if (isRoot) {
    for (const name of ['deep', 'large.bin', 'no-permissions', 'fifo', 'set-id', 'empty']) {
      fs.chownSync(join(root, name), 999, 3_000_000_000);
    }
    fs.lchownSync(join(root, 'absolute-link'), 999, 998);
    fs.chownSync(root, 999, 999);
  }
  fs.chmodSync(join(root, 'no-permissions'), 0o000);
  fs.chmodSync(join(root, 'set-id'), 0o6755);
  fs.chmodSync(join(root, 'empty'), 0o1777);
  fs.utimesSync(join(root, 'zero'), 0, 1_234_567.891234);
  fs.utimesSync(join(root, 'exactly-512'), 0, -12_345.5);
  fs.utimesSync(join(root, 'large.bin'), 0, 5_000_000_000);
  fs.lutimesSync(join(root, 'absolute-link'), 0, 1_700_000_000.25);
  fs.utimesSync(join(root, 'empty'), 0, 1_600_000_000.125);
  fs.utimesSync(join(root, 'deep'), 0, 1_500_000_000.5);
  fs.chmodSync(root, 0o700);
  fs.utimesSync(root, 0, 1_400_000_000.75);
}

function at(root: string, name: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${root}/`), Buffer.from(name)]);
}

export interface Described {
  type: string;
  mode: string;
  owner: string;
  /** Microseconds. */
  mtime: number;
  content: string;
  names: number;
}

/** Every entry below `root`, and `root` itself as `.`, by a path of one character per byte. */
export function describeTree(root: string): Record<string, Described> {
  const result: Record<string, Described> = {};
  const walk = (relative: string): void => {
    const path = Buffer.from(
      relative === '.' ? root : `${Buffer.from(root).toString('latin1')}/${relative}`,
      'latin1',
    );
    const stats = fs.lstatSync(path);
    result[relative] = {
      type: typeOf(stats),
      mode: (stats.mode & 0o7777).toString(8),
      owner: `${stats.uid}:${stats.gid}`,
      mtime: Math.round(stats.mtimeMs * 1000),
      content: contentOf(path, stats),
      names: stats.isDirectory() ? 0 : stats.nlink,
    };
    if (!stats.isDirectory()) return;
    for (const name of fs.readdirSync(path, { encoding: 'latin1' })) {
      walk(relative === '.' ? name : `${relative}/${name}`);
    }
  };
  walk('.');
  return result;
}

function typeOf(stats: fs.Stats): string {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  if (stats.isSymbolicLink()) return 'symlink';
  return stats.isFIFO() ? 'fifo' : 'other';
}

function contentOf(path: Buffer, stats: fs.Stats): string {
  if (stats.isSymbolicLink()) return fs.readlinkSync(path, 'latin1');
  if (!stats.isFile()) return '';
  return createHash('sha256').update(fs.readFileSync(path)).digest('hex');
}
