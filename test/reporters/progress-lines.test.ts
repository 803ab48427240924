import { describe, expect, it } from 'vitest';
import type { Event } from '../../src/events.ts';
import { visibleWidth } from '../../src/reporters/format.ts';
import { paintFor } from '../../src/reporters/palette.ts';
import { follow, type Progress } from '../../src/reporters/progress.ts';
import { progressLines } from '../../src/reporters/progress-lines.ts';

const MB = 1_000_000;
const paint = paintFor(false);

function shown(
  events: readonly (readonly [atMs: number, event: Event])[],
  nowMs: number,
  width = 120,
): string[] {
  const progress: Progress = new Map();
  for (const [atMs, event] of events) follow(progress, event, atMs);
  return progressLines(progress, nowMs, { paint, width });
}

const started = (store: string): Event => ({ type: 'started', store, kind: 'chromadb', operation: 'backup' });
const read = (store: string, doneBytes: number, totalBytes?: number): Event => {
  return { type: 'progress', store, phase: 'reading', doneBytes, ...(totalBytes && { totalBytes }) };
};
const held: Event = { type: 'held', store: 'vectors', quiesce: 'stop', containers: ['pk-chromadb'] };
const released: Event = { type: 'released', store: 'vectors', containers: ['pk-chromadb'], downtimeMs: 2000 };

describe('the live line of a store', () => {
  it('has a bar, bytes, speed and time left', () => {
    const events = [
      [0, started('vectors')],
      [0, read('vectors', 0, 200 * MB)],
      [1000, read('vectors', 50 * MB, 200 * MB)],
    ] as const;
    expect(shown(events, 1000)).toEqual([
      '  vectors  chromadb  reading  [#####...............]  50 MB of 200 MB  50 MB/s  3.0 s left',
    ]);
  });

  it('does not promise what it cannot know', () => {
    const events = [
      [0, started('vectors')],
      [0, read('vectors', 0)],
      [1000, read('vectors', 50 * MB)],
    ] as const;
    expect(shown(events, 1000)).toEqual(['  vectors  chromadb  reading  50 MB  50 MB/s']);
    const guessedTooSmall = [
      [0, started('vectors')],
      [0, read('vectors', 3 * MB, 2 * MB)],
    ] as const;
    expect(shown(guessedTooSmall, 100)[0]).not.toContain('of 2.0 MB');
  });

  it('measures speed over the last seconds, and anew in each phase', () => {
    const slowThenFast = [
      [0, started('vectors')],
      [0, read('vectors', 0)],
      [10_000, read('vectors', 1 * MB)],
      [11_000, read('vectors', 101 * MB)],
    ] as const;
    expect(shown(slowThenFast, 11_000)[0]).toContain('100 MB/s');
    const newPhase: Event = { type: 'progress', store: 'vectors', phase: 'verifying', doneBytes: 0 };
    expect(shown([...slowThenFast, [11_100, newPhase]], 11_100)[0]).not.toContain('/s');
  });

  it('says that a store is held, by what, and since when, until it is let go', () => {
    const events = [
      [0, started('vectors')],
      [1000, held],
    ] as const;
    expect(shown(events, 3100)[0]).toContain('HELD 2.1 s stopped pk-chromadb');
    expect(shown([...events, [4000, released]], 5000)[0]).not.toContain('HELD');
  });

  it('keeps saying that it is held on the narrowest terminal', () => {
    const events = [
      [0, started('vectors')],
      [0, held],
      [0, read('vectors', 5 * MB, 10 * MB)],
    ] as const;
    expect(shown(events, 1000, 40)[0]).toContain('HELD');
  });

  it.each([200, 100, 80, 60, 40, 20, 10])('fits into %d columns', (width) => {
    const events = [
      [0, started('vectors')],
      [0, started('a-rather-long-name-of-a-store')],
      [0, held],
      [0, read('vectors', 0, 200 * MB)],
      [1000, read('vectors', 50 * MB, 200 * MB)],
    ] as const;
    for (const line of shown(events, 1000, width)) expect(visibleWidth(line)).toBeLessThanOrEqual(width);
  });

  it('says how it ended', () => {
    const ok: Event = { type: 'ended', store: 'vectors', ok: true };
    const bad: Event = { type: 'ended', store: 'vectors', ok: false, message: 'disk is\nfull' };
    expect(
      shown(
        [
          [0, started('vectors')],
          [1, ok],
        ],
        2,
      )[0],
    ).toMatch(/done$/);
    expect(
      shown(
        [
          [0, started('vectors')],
          [1, bad],
        ],
        2,
      )[0],
    ).toMatch(/failed disk is full$/);
  });
});
