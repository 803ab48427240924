// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the placeholders of config files
import { describe, expect, it } from 'vitest';
import { substitute } from '../../src/config/substitute.ts';

const environment = { NAME: 'graph', EMPTY: '', N7: '7' };

describe('substitute', () => {
  it.each([
    ['${NAME}', 'graph'],
    ['pk-${NAME}-${N7}', 'pk-graph-7'],
    ['${NAME:-other}', 'graph'],
    ['${OTHER:-other}', 'other'],
    ['${OTHER:-}', ''],
    ['${OTHER-}', ''],
    ['${EMPTY:-other}', 'other'],
    ['${EMPTY-other}', ''],
    ['${EMPTY}', ''],
    ['$${NAME}', '${NAME}'],
    ['costs 5$ or $NAME', 'costs 5$ or $NAME'],
    ['${not a name}', '${not a name}'],
  ])('makes %j to %j', (text, expected) => {
    expect(substitute(text, environment)).toEqual({ value: expected, unset: [] });
  });

  it('names the variables that have neither a value nor a default', () => {
    expect(substitute('${A}/${NAME}/${B}', environment).unset).toEqual(['A', 'B']);
  });

  it('does not look into what it has put in', () => {
    expect(substitute('${A}', { A: '${NAME}', NAME: 'x' }).value).toBe('${NAME}');
  });
});
