import { describe, expect, it } from 'vitest';
import { didYouMean, nearestOf } from '../src/near.ts';

const kinds = ['chromadb', 'falkordb', 'neo4j', 'postgres', 'sqlite', 'volume', 'directory'];

describe('nearestOf', () => {
  it.each([
    ['falkor', 'falkordb'],
    ['sqlit', 'sqlite'],
    ['slqite', 'sqlite'],
    ['Postgers', 'postgres'],
    ['postgresql', 'postgres'],
    ['dir', 'directory'],
    ['volumes', 'volume'],
  ])('finds what %s stands for', (typed, meant) => {
    expect(nearestOf(typed, kinds)).toBe(meant);
  });

  it.each(['redis', 'x', '', 'mongodb!'])('does not guess what %j could be', (typed) => {
    expect(nearestOf(typed, kinds)).toBeUndefined();
  });

  it('does not choose between two that begin alike', () => {
    expect(nearestOf('vec', ['vectors-private', 'vectors-public'])).toBeUndefined();
  });
});

describe('didYouMean', () => {
  it('is a question, or nothing', () => {
    expect(didYouMean('sqlit', kinds)).toBe(', did you mean "sqlite"?');
    expect(didYouMean('redis', kinds)).toBe('');
  });
});
