import { describe, expect, it } from 'vitest';
import { paintFor, wantsColour } from '../../src/reporters/palette.ts';

const terminal = { isTTY: true };
const pipe = { isTTY: false };

describe('colour', () => {
  it.each([
    ['on a terminal', undefined, {}, terminal, true],
    ['not in a pipe', undefined, {}, pipe, false],
    ['not with NO_COLOR', undefined, { NO_COLOR: '1' }, terminal, false],
    ['with an empty NO_COLOR, as it says nothing', undefined, { NO_COLOR: '' }, terminal, true],
    ['in a pipe with FORCE_COLOR', undefined, { FORCE_COLOR: '1' }, pipe, true],
    ['not with FORCE_COLOR=0', undefined, { FORCE_COLOR: '0' }, terminal, false],
    ['not on a dumb terminal', undefined, { TERM: 'dumb' }, terminal, false],
    ['in a pipe with --color, whatever NO_COLOR says', true, { NO_COLOR: '1' }, pipe, true],
    ['not with --no-color, whatever FORCE_COLOR says', false, { FORCE_COLOR: '1' }, terminal, false],
  ] as const)('is used %s', (_when, flag, environment, stream, expected) => {
    expect(wantsColour(flag, environment, stream)).toBe(expected);
  });

  it('changes nothing but the colour', () => {
    expect(paintFor(false)('bad', 'x')).toBe('x');
    expect(paintFor(true)('bad', 'x')).toMatch(/^\u001b\[.*x.*\u001b\[/);
  });
});
