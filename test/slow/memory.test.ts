// 4 GB through backup, verify and restore of the real shim, with its peak memory looked at. PKBACKUP_TEST_GB sets another size.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { shim } from '../cli/program.ts';

const gigabytes = Number(process.env.PKBACKUP_TEST_GB ?? 4);
const limitMb = 250;
const fileBytes = 256 * 1024 * 1024;

let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'pkbackup-memory-'));
  mkdirSync(join(directory, 'data'));
  for (let count = 0; count < gigabytes * 4; count += 1)
    await makeFile(join(directory, 'data', `file-${count}`));
  writeFileSync(
    join(directory, 'peak.mjs'),
    `import { writeFileSync } from 'node:fs';
     process.on('exit', () => writeFileSync(process.env.PEAK_FILE, String(process.resourceUsage().maxRSS)));`,
  );
  writeFileSync(
    join(directory, 'pkbackup.yaml'),
    'repository: ./backups\nstores:\n  data: { kind: directory, path: ./data }\n',
  );
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Half noise, half text: neither all stored nor all squeezed away. */
async function makeFile(path: string): Promise<void> {
  const file = await open(path, 'w');
  const text = Buffer.from('the quick brown fox jumps over the lazy dog, again and again. '.repeat(8500));
  for (let written = 0; written < fileBytes; ) {
    const block = Buffer.concat([randomBytes(1 << 19), text.subarray(0, 1 << 19)]);
    written += (await file.write(block)).bytesWritten;
  }
  await file.close();
}

/** Runs the program and gives its peak memory in MB. */
function peakOf(...args: string[]): number {
  const peak = join(directory, 'peak');
  execFileSync(
    process.execPath,
    [
      '--import',
      `file://${join(directory, 'peak.mjs')}`,
      shim,
      ...args,
      '--config',
      join(directory, 'pkbackup.yaml'),
    ],
    { env: { ...process.env, PEAK_FILE: peak }, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  return Math.round(Number(readFileSync(peak, 'utf8')) / 1024);
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

describe.each(['gzip', 'zstd'])('%s', (compression) => {
  test(`${gigabytes} GB back up, verify and restore with less than ${limitMb} MB each`, async () => {
    const peaks = {
      backup: peakOf('backup', 'data', '--quiet', '--compression', compression),
      verify: peakOf('verify', 'data@latest', '--quiet', '--level', 'archive'),
      restore: peakOf('restore', 'data@latest', '--quiet', '--yes', '--to', join(directory, compression)),
    };
    process.stdout.write(`peak memory in MB with ${compression}: ${JSON.stringify(peaks)}\n`);
    for (const name of ['file-0', `file-${gigabytes * 4 - 1}`]) {
      expect(await hashOf(join(directory, compression, name))).toBe(
        await hashOf(join(directory, 'data', name)),
      );
    }
    rmSync(join(directory, compression), { recursive: true });
    for (const peak of Object.values(peaks)) expect(peak).toBeLessThan(limitMb);
  });
});
