import { expect, test } from 'vitest';
import { isAnyTaken, takeTurn, turnsTaken } from '../../src/quiesce/turns.ts';

const never = new AbortController().signal;

test('who wants one of several waits for all of them, and others do not wait', async () => {
  const first = await takeTurn(['a', 'b'], never);
  let isTaken = false;
  const second = takeTurn(['b', 'c'], never).then((turn) => {
    isTaken = true;
    return turn;
  });
  const other = await takeTurn(['c', 'd'], never);
  other.end();
  await Promise.resolve();
  expect([isTaken, isAnyTaken(['a']), isAnyTaken(['c'])]).toEqual([false, true, false]);
  first.end();
  const turn = await second;
  expect([isAnyTaken(['a']), isAnyTaken(['b'])]).toEqual([false, true]);
  turn.end();
  first.end();
  expect(isAnyTaken(['a', 'b', 'c', 'd'])).toBe(false);
});

test('a turn that came and went meanwhile shows', async () => {
  const before = turnsTaken(['e', 'f']);
  (await takeTurn(['f'], never)).end();
  const turn = await takeTurn(['e', 'f'], never);
  turn.end();
  expect(turn.earlier).toBe(before + 1);
  expect((await takeTurn(['g'], never)).earlier).toBe(0);
});

test('waiting ends with an abort, and takes nothing', async () => {
  const first = await takeTurn(['h'], never);
  const stop = new AbortController();
  const waiting = takeTurn(['h', 'i'], stop.signal);
  stop.abort();
  await expect(waiting).rejects.toThrow();
  expect(isAnyTaken(['i'])).toBe(false);
  first.end();
  expect(isAnyTaken(['h'])).toBe(false);
});
