// npm test: the test bed, types, lint, and every test. `--unit`: the part that needs no Docker. `--slow`: what takes longer
// than an inner loop bears. `--nightly`: everything, the random tests at their full number. Further arguments go to vitest.
import { spawnSync } from 'node:child_process';
import process from 'node:process';

/** What is a sample by day; set one yourself to have another number. */
const nightly = {
  PKBACKUP_TEST_MODEL_SECONDS: '3600',
  PKBACKUP_TEST_KILLS: '300',
  PKBACKUP_TEST_DRILL_KILLS: '50',
  PKBACKUP_TEST_INTERRUPTS: '100',
  PKBACKUP_TEST_RESTARTS: '20',
  PKBACKUP_TEST_LOOP_MINUTES: '60',
  PKBACKUP_TEST_STACK_ROUNDS: '50',
  PKBACKUP_TEST_STACK_ROUNDS_NEO4J: '50',
};

const reporters = ['--reporter=default', '--reporter=./test/closing-reporter.ts'];
const [mode, rest] = parse(process.argv.slice(2));
const steps: Record<typeof mode, string[][]> = {
  all: [
    ['node', 'testbed/main.ts', 'up'],
    ['tsc', '--noEmit'],
    ['biome', 'check', '--error-on-warnings', '.'],
    ['node', 'scripts/build.ts'],
    ['vitest', 'run', '--project', 'unit', '--project', 'long', '--project', 'docker', ...reporters, ...rest],
  ],
  unit: [['vitest', 'run', '--project', 'unit', ...reporters, ...rest]],
  slow: [
    ['node', 'testbed/main.ts', 'up'],
    ['vitest', 'run', '--project', 'slow', ...reporters, ...rest],
  ],
  nightly: [
    ['node', 'testbed/main.ts', 'up'],
    ['node', 'scripts/build.ts'],
    ['vitest', 'run', ...reporters, ...rest],
  ],
};

if (mode === 'nightly') Object.assign(process.env, { ...nightly, ...process.env });
for (const step of steps[mode]) runStep(step);

function parse(args: string[]): ['all' | 'unit' | 'slow' | 'nightly', string[]] {
  const [first, ...others] = args;
  if (first === '--unit') return ['unit', others];
  if (first === '--slow') return ['slow', others];
  if (first === '--nightly') return ['nightly', others];
  return ['all', args];
}

function runStep([command = '', ...args]: string[]): void {
  process.stderr.write(`\n> ${[command, ...args].join(' ')}\n`);
  const startedMs = Date.now();
  // On Windows the tools of node_modules/.bin are .cmd files, which only a shell starts; the arguments are our own.
  const { status, signal, error } = spawnSync(command, args, {
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  if (error) throw error;
  if (status !== 0) {
    process.stderr.write(`error: "${command}" failed (${signal ?? `exit ${status}`})\n`);
    process.exit(status ?? 1);
  }
  process.stderr.write(`  ${command}: ${((Date.now() - startedMs) / 1000).toFixed(1)} s\n`);
}
