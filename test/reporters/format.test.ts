import { describe, expect, it } from 'vitest';
import {
  alignColumns,
  formatAge,
  formatBytes,
  formatCounts,
  formatDuration,
  formatLocalTime,
  oneLine,
  plural,
  truncate,
  visibleWidth,
} from '../../src/reporters/format.ts';

describe('formatBytes', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [9949, '9.9 kB'],
    [9951, '10 kB'],
    [999_499, '999 kB'],
    [999_500, '1.0 MB'],
    [559_000_000, '559 MB'],
    [1_100_000_000, '1.1 GB'],
    [41_200_000_000, '41 GB'],
    [2_500_000_000_000_000_000, '2500 PB'],
  ])('%d is %s', (bytes, expected) => {
    expect(formatBytes(bytes)).toBe(expected);
  });
});

describe('formatDuration', () => {
  it.each([
    [0, '0.0 s'],
    [640, '0.6 s'],
    [59_940, '59.9 s'],
    [59_960, '1 min'],
    [185_000, '3 min 5 s'],
    [3_599_900, '1 h'],
    [4_320_000, '1 h 12 min'],
  ])('%d ms is %s', (milliseconds, expected) => {
    expect(formatDuration(milliseconds)).toBe(expected);
  });
});

describe('formatAge', () => {
  const now = new Date('2026-11-20T09:00:00Z');
  it.each([
    ['2026-11-20T08:59:30Z', 'just now'],
    ['2026-11-20T08:55:00Z', '5 min ago'],
    ['2026-11-20T03:00:00Z', '6 h ago'],
    ['2026-11-19T03:00:00Z', '1 d ago'],
    ['2026-11-01T03:00:00Z', '19 d ago'],
    ['2025-12-22T02:00:00Z', '10 mo ago'],
    ['2023-01-01T00:00:00Z', '3 y ago'],
    ['2026-11-20T12:00:00Z', 'in 3 h'],
  ])('%s is %s', (then, expected) => {
    expect(formatAge(new Date(then), now)).toBe(expected);
  });
});

it('local time is that of the person who reads', () => {
  expect(formatLocalTime(new Date(2026, 10, 2, 3, 4))).toBe('2026-11-02 03:04');
});

describe('plurals', () => {
  it('are right', () => {
    expect([plural(1, 'backup'), plural(2, 'backup'), plural(0, 'entry'), plural(3, 'index')]).toEqual([
      '1 backup',
      '2 backups',
      '0 entries',
      '3 indexes',
    ]);
  });

  it('are right in what stores count', () => {
    expect(formatCounts({ collections: 2, records: 420 })).toBe('2 collections, 420 records');
    expect(formatCounts({ files: 1, directories: 1, nodes: 1, tables: 1, indexes: 1, rows: 1 })).toBe(
      '1 file, 1 directory, 1 node, 1 table, 1 index, 1 row',
    );
    expect(formatCounts({ changed_files: 3 })).toBe('3 changed files');
    expect(formatCounts({})).toBe('');
  });
});

describe('columns', () => {
  it('are aligned by what is seen', () => {
    const rows = [
      ['a', '\u001b[31mred\u001b[39m', 'x'],
      ['long', 'r', '10'],
    ];
    expect(alignColumns(rows, [2])).toEqual(['a     \u001b[31mred\u001b[39m   x', 'long  r    10']);
  });

  it('have no spaces at the end', () => {
    expect(
      alignColumns([
        ['a', ''],
        ['b', 'c'],
      ]),
    ).toEqual(['a', 'b  c']);
  });

  it('know wide and combining characters', () => {
    expect(visibleWidth('日本')).toBe(4);
    expect(visibleWidth('e\u0301')).toBe(1);
  });
});

describe('truncate', () => {
  it('keeps to the width', () => {
    expect(truncate('abcdefgh', 8)).toBe('abcdefgh');
    expect(truncate('abcdefgh', 7)).toBe('abcd...');
    expect(truncate('abcdefgh', 2)).toBe('ab');
    expect(truncate('日本日本日本', 8)).toBe('日本...');
  });
});

describe('text from elsewhere', () => {
  it('cannot steer the terminal', () => {
    expect(oneLine('a\u001b[2Jb\nc\rd\u0007e\u009b31mf')).toBe('ab c d ef');
    expect(oneLine('evil\u202etxt.exe')).toBe('evil txt.exe');
  });
});
