import { expect, test } from 'vitest';
import { durationMs, durationPattern } from '../../src/config/index.ts';

test.each([
  ['90s', 90_000],
  ['5m', 300_000],
  ['12h', 43_200_000],
  ['30d', 2_592_000_000],
  ['6w', 3_628_800_000],
  ['1y', 31_536_000_000],
])('"%s" is %d ms', (text, ms) => {
  expect(durationPattern.test(text)).toBe(true);
  expect(durationMs(text)).toBe(ms);
});

test.each(['0s', '5', 's', '1.5h', '-1d', '5 m', '5min'])('"%s" is no duration', (text) => {
  expect(durationPattern.test(text)).toBe(false);
});
