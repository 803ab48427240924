import { describe, expect, it } from 'vitest';
import { PkbackupError } from '../../src/errors.ts';
import { errorJson, errorLines, exitCodeRows } from '../../src/reporters/error-text.ts';
import { paintFor } from '../../src/reporters/palette.ts';

const plain = paintFor(false);

describe('an expected error', () => {
  const error = new PkbackupError('not_found', 'no such store: "x"', { hint: 'the stores are a, b' });

  it('is one line and a hint, without a stack', () => {
    expect(errorLines(error, plain, false)).toEqual([
      'error: no such store: "x"',
      'hint: the stores are a, b',
    ]);
  });

  it('is a line for each of several mistakes', () => {
    expect(errorLines(new PkbackupError('config', 'a:1: b\na:2: c'), plain, false)).toEqual([
      'error: a:1: b',
      'error: a:2: c',
    ]);
  });

  it('shows its stack and its cause to those who ask', () => {
    const cause = new Error('ECONNREFUSED');
    const lines = errorLines(new PkbackupError('failed', 'x', { cause }), plain, true).join('\n');
    expect(lines).toContain('    at ');
    expect(lines).toContain('caused by: ECONNREFUSED');
  });

  it('cannot be made to steer the terminal', () => {
    expect(errorLines(new PkbackupError('failed', 'file "\u001b[2J"'), plain, false)).toEqual([
      'error: file ""',
    ]);
  });

  it('has its code and exit code in JSON', () => {
    expect(errorJson(error)).toEqual({
      code: 'not_found',
      exit_code: 3,
      message: 'no such store: "x"',
      hint: 'the stores are a, b',
    });
  });
});

describe('an error of ours', () => {
  it('shows all of its stack, the versions, and what to send where', () => {
    const lines = errorLines(new TypeError('x is not a function'), plain, false).join('\n');
    expect(lines).toMatch(/^error: x is not a function\n {4}at /);
    expect(lines).toContain(`Node ${process.versions.node}`);
    expect(lines).toContain('hint: this is a bug of pkbackup');
  });

  it('is said even where something else than an error was thrown', () => {
    expect(errorLines('oops', plain, false)[0]).toBe('error: oops');
    expect(errorLines(undefined, plain, false)[0]).toBe('error: undefined');
  });
});

it('every exit code has one row, in order', () => {
  const codes = exitCodeRows().map(([code]) => Number(code));
  expect(codes).toEqual([...new Set(codes)].sort((a, b) => a - b));
  expect(codes).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 64, 78, 130, 143]);
});
