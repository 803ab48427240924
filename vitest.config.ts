// Four projects, of which `npm test` runs the first three: `unit` (needs nothing but Node: the inner loop), `long` (too long
// for it; *.long.test.ts), `docker` (needs the test bed; *.docker.test.ts), and `slow` (test/slow: minutes, `npm run test:slow`).
// Nothing is ever skipped silently.
import process from 'node:process';
import { defineConfig } from 'vitest/config';

// What is real on a busy machine may miss once; closing-reporter.ts tells each such test by name.
const retry = process.env.CI ? 1 : 0;
const docker = 'test/**/*.docker.test.ts';
const long = 'test/**/*.long.test.ts';
const slow = 'test/slow/**';

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    restoreMocks: true,
    globalSetup: 'test/publish-program.ts',
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [docker, long, slow],
          testTimeout: 30_000,
          retry,
        },
      },
      { test: { name: 'long', include: [long], exclude: [slow], testTimeout: 300_000, retry } },
      {
        test: {
          name: 'docker',
          include: [docker],
          exclude: [slow],
          retry,
          // Only what hangs: on a slow machine a test with several starts of a server takes five minutes.
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
      {
        test: {
          name: 'slow',
          include: [`${slow}/*.test.ts`],
          testTimeout: 1_800_000,
          hookTimeout: 600_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
