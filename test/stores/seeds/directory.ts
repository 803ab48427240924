import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll } from 'vitest';
import type { Seed } from '../conformance.ts';
import { missing } from '../planted-damage.ts';

const directories: string[] = [];
afterAll(() => {
  for (const directory of directories) fs.rmSync(directory, { recursive: true, force: true });
});

/** Saved hot, file by file: each of them is whole, all of them together are not of one moment. */
export const directory: Seed = {
  kind: 'directory',
  isOneMoment: false,
  planted: () => [
    {
      what: 'a file that is gone',
      edit: missing('100 ünd.json'),
      foundBy: 'content',
      finding: /files: expected \d+, found \d+/,
    },
  ],
  async start() {
    const parent = fs.mkdtempSync(join(tmpdir(), 'pkbackup-directory-'));
    directories.push(parent);
    const path = join(parent, 'memory');
    fs.mkdirSync(path);
    return {
      target: { path },
      containers: [],
      async fill(scale) {
        for (let index = 0; index < 200 * scale; index += 1) {
          const below = join(path, 'fixed', `part-${index % 7}`);
          fs.mkdirSync(below, { recursive: true });
          const file = join(below, `${index} ünd.json`);
          fs.writeFileSync(file, JSON.stringify({ index }).repeat(index * 10));
          // A time is kept to the microsecond; compared by the millisecond, what is near its end would differ.
          fs.utimesSync(file, 1_700_000_000, 1_700_000_000 + index);
        }
        fs.mkdirSync(join(path, 'fixed', 'empty'), { mode: 0o700 });
        fs.symlinkSync('part-1', join(path, 'fixed', 'link'));
        fs.lutimesSync(join(path, 'fixed', 'link'), 1_700_000_000, 1_700_000_000);
      },
      async startWriter() {
        fs.rmSync(join(path, 'items'), { recursive: true, force: true });
        fs.mkdirSync(join(path, 'items'));
        let acknowledged = 0;
        let isStopped = false;
        const writing = (async () => {
          while (!isStopped) {
            fs.writeFileSync(join(path, 'items', String(acknowledged + 1)), 'written');
            acknowledged += 1;
            await sleep(2);
          }
        })();
        return {
          acknowledged: () => acknowledged,
          async stop() {
            isStopped = true;
            await writing;
          },
        };
      },
      ...reader(path),
      async destroy() {
        for (const name of fs.readdirSync(path)) fs.rmSync(join(path, name), { recursive: true });
      },
      wrong: () => [
        {
          what: 'a path that is not there',
          target: { path: `${path}x` },
          code: 'not_found',
          message: /memoryx" is not there/,
        },
      ],
      async beside() {
        const to = join(parent, 'beside');
        return { to, open: async () => reader(to) };
      },
      names: async () => [...fs.readdirSync(parent), ...fs.readdirSync(path)],
    };
  },
};

function reader(path: string) {
  return {
    async fingerprint() {
      const fixed = join(path, 'fixed');
      if (!fs.existsSync(fixed)) return 'nothing';
      const lines = fs.readdirSync(fixed, { recursive: true, encoding: 'utf8' }).toSorted();
      return lines.map((name) => `${name} ${print(join(fixed, name))}`).join('\n');
    },
    async items() {
      const items = join(path, 'items');
      return fs.existsSync(items) ? fs.readdirSync(items).map(Number) : [];
    },
  };
}

function print(path: string): string {
  const stats = fs.lstatSync(path);
  const what = `${stats.mode.toString(8)} ${Math.floor(stats.mtimeMs)}`;
  if (stats.isSymbolicLink()) return `${what} -> ${fs.readlinkSync(path)}`;
  if (!stats.isFile()) return stats.mode.toString(8);
  return `${what} ${createHash('sha256').update(fs.readFileSync(path)).digest('hex')}`;
}
