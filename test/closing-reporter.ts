// The last word of a test run: every test that was skipped, or passed only at a second try, by name, loudly; and a plain count.
// In CI a skipped test fails the run: what was not run proves nothing.
import process from 'node:process';
import type { Reporter, TestModule } from 'vitest/node';

export default class ClosingReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const count = { passed: 0, failed: 0, skipped: 0 };
    const skipped: string[] = [];
    const retried: string[] = [];
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        const again = test.diagnostic()?.retryCount ?? 0;
        if (state === 'passed' && again > 0) retried.push(`${module.relativeModuleId}: ${test.fullName}`);
        if (state === 'passed' || state === 'failed') count[state] += 1;
        else skipped.push(`${module.relativeModuleId}: ${test.fullName}`);
      }
    }
    count.skipped = skipped.length;
    for (const name of retried) process.stdout.write(`FAILED ONCE, PASSED AT THE SECOND TRY: ${name}\n`);
    for (const name of skipped) process.stdout.write(`NOT RUN: ${name}\n`);
    if (skipped.length > 0 && process.env.CI) {
      process.stdout.write('error: a skipped test does not count as green in CI\n');
      process.exitCode = 1;
    }
    process.stdout.write(`\n${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped\n`);
  }
}
