// JSON as text: what is cut out is what was there, and texts that mean the same become the same.
import { expect, test } from 'vitest';
import {
  canonical,
  elementsOf,
  inOneLine,
  lengthOfVector,
  membersOf,
} from '../../src/stores/chromadb/json-slices.ts';

const tricky = [
  '{}',
  '[]',
  '{ "a" : 1.0 , "b":[1,[2,{"c":"]}"}]],"q\\"\\\\":null}',
  '{"ids":["a\\\\","b\\"]","\\u00e9"],"x":{"y":{}},"n":-1.5e-7,"t":true}',
  '["é","😀","a\\nb",[],{"k":"}"},9007199254740993,1.0,0.1]',
];

test.each(tricky)('%s is cut into the parts that JSON.parse finds', (text) => {
  const whole: unknown = JSON.parse(text);
  if (Array.isArray(whole)) {
    expect(elementsOf(text).map((part) => JSON.parse(part))).toEqual(whole);
  } else {
    const members = [...membersOf(text)].map(([name, part]) => [name, JSON.parse(part)]);
    expect(Object.fromEntries(members)).toEqual(whole);
  }
});

test('numbers stay as they are written', () => {
  expect(elementsOf('[1.0, 9007199254740993 ,1e30,-0.10]')).toEqual([
    '1.0',
    '9007199254740993',
    '1e30',
    '-0.10',
  ]);
});

test.each([
  '',
  '{',
  '[1',
  '[1,]',
  '[1 2]',
  '{"a":}',
  '{"a" 1}',
  '{1:2}',
  '{"a":"b',
  '{"a":[1,2}',
  '["\\"]',
  '[{]',
])('%j is refused', (text) => {
  expect(() => [membersOf(text), elementsOf(text)]).toThrow(/not the JSON that was expected/);
});

test('a vector tells how many numbers it has, and what is none is told', () => {
  expect(lengthOfVector('[1,2.5,-3e-7]')).toBe(3);
  expect(lengthOfVector('[ ]')).toBe(0);
  for (const other of ['null', '[1,null]', '["1"]', '[[1]]', ''])
    expect(lengthOfVector(other)).toBeUndefined();
});

test('what means the same has one canonical form; an integer and a fraction differ', () => {
  expect(canonical('{"b":1,"a":{"d":[1.50,"\\u00e9"],"c":null}}')).toBe(
    canonical('{ "a" : {"c":null,"d":[1.5e0,"é"]}, "b":1 }'),
  );
  expect(canonical('1')).not.toBe(canonical('1.0'));
  expect(canonical('9007199254740993')).not.toBe(canonical('9007199254740992'));
});

test('a record is one line, whatever lies between its values', () => {
  expect(inOneLine('{"a":\r\n1}')).toBe('{"a": 1}');
  expect(inOneLine('{"a":1}')).toBe('{"a":1}');
});
