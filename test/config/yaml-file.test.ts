// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the placeholders of config files
import { describe, expect, it } from 'vitest';
import { parseYaml } from '../../src/config/yaml-file.ts';

const parse = (text: string, environment = {}) => parseYaml(text, environment);

function mistakesIn(text: string): string[] {
  const { syntaxErrors, unset } = parse(text);
  return [...syntaxErrors, ...unset].map(({ line, key, message }) => `${line}: ${key}: ${message}`);
}

describe('parseYaml', () => {
  it('knows the line of every key, of items, and of what is not there', () => {
    const file = parse(
      'repository: ./b\nstores:\n  a:\n    kind: sqlite\n    exclude:\n      - x\n      - y\n',
    );
    expect(file.lineOf(['repository'])).toBe(1);
    expect(file.lineOf(['stores', 'a', 'kind'])).toBe(4);
    expect(file.lineOf(['stores', 'a', 'exclude', 1])).toBe(7);
    expect(file.lineOf(['stores', 'a', 'path'])).toBe(3);
    expect(file.lineOf(['nothing'])).toBe(1);
    expect(file.lineOf([])).toBe(1);
  });

  it('takes an empty file and one of comments only as one without keys', () => {
    expect(parse('').data).toEqual({});
    expect(parse('# nothing yet\n').data).toEqual({});
  });

  it('gives a plain value its type after substitution, and leaves a quoted one a text', () => {
    const text = 'a: ${N}\nb: "${N}"\nc: ${T}\nd: x${N}\n';
    expect(parse(text, { N: '7', T: 'true' }).data).toEqual({ a: 7, b: '7', c: true, d: 'x7' });
  });

  it('cannot be made to have another structure by what a variable holds', () => {
    expect(parse('a: ${X}', { X: 'y\nb: 1' }).data).toEqual({ a: 'y\nb: 1' });
    expect(parse('a: ${X}', { X: '{b: 1}' }).data).toEqual({ a: '{b: 1}' });
  });

  it('takes what compose files use: anchors, aliases and merge keys', () => {
    const text = 'x: &x { kind: sqlite }\ny: { <<: *x, path: p }\n';
    expect(parse(text).data).toEqual({ x: { kind: 'sqlite' }, y: { kind: 'sqlite', path: 'p' } });
  });

  it.each([
    ['a: [1, 2', '1: : '],
    ['a: 1\nb: "x\n', ': : '],
    ['a: 1\nb: 2\na: 3\n', '3: : map keys must be unique'],
    ['ok: 1\na: 1\n  b: 2\n', '2: : '],
    ['a: x\nb:\n  c: [1, "${NO_SUCH}"]\n', '3: b.c: the variable "NO_SUCH" is not set'],
  ])('names the line of what is wrong in %j', (text, expected) => {
    expect(mistakesIn(text).join('\n')).toContain(expected);
  });

  it('names every variable that is not set', () => {
    expect(mistakesIn('a: ${A}\nb: ${B}\n')).toHaveLength(2);
  });
});
