import { expect, test } from 'vitest';
import { asPkbackupError, exitCodeOf, messageOf, PkbackupError, systemCodeOf } from '../src/errors.ts';

/** Fails, and then its disposal fails, too. */
async function failTwice(first: Error): Promise<never> {
  await using stack = new AsyncDisposableStack();
  stack.defer(async () => {
    throw new Error('the helper could not be removed');
  });
  stack.defer(async () => {
    throw new Error('nor could the other');
  });
  throw first;
}

test('an error is told as it was, also where the tidying up after it fails', async () => {
  const lost = new PkbackupError('docker_unreachable', 'Docker is away');
  const thrown = await failTwice(lost).catch((error: unknown) => error);
  expect(thrown).toBeInstanceOf(SuppressedError);
  expect(messageOf(thrown)).toBe('Docker is away');
  expect(exitCodeOf(thrown)).toBe(2);
  expect(asPkbackupError(thrown, 'failed', 'do it')).toBe(lost);
  const full = Object.assign(new Error('no space'), { code: 'ENOSPC' });
  expect(systemCodeOf(await failTwice(full).catch((error: unknown) => error))).toBe('ENOSPC');
});
