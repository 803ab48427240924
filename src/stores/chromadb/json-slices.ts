// JSON as text, cut into its parts without reading numbers: what a server said of a number (1.0, 9007199254740993, 0.1 as a
// 32-bit float) goes into an archive and back into a server as it came. JSON.parse would make 1, 9007199254740992 and
// another 0.1 of it.
import { PkbackupError } from '../../errors.ts';

/** The values of an object by their names, each as its text. */
export function membersOf(text: string): Map<string, string> {
  const members = new Map<string, string>();
  const at = skipSpace(text, 0);
  if (text[at] !== '{') throw notJson(text, at);
  let next = skipSpace(text, at + 1);
  while (text[next] !== '}') {
    const nameEnd = valueEnd(text, next);
    const colon = skipSpace(text, nameEnd);
    if (text[next] !== '"' || text[colon] !== ':') throw notJson(text, next);
    const start = skipSpace(text, colon + 1);
    const end = valueEnd(text, start);
    members.set(JSON.parse(text.slice(next, nameEnd)), text.slice(start, end));
    next = afterComma(text, end, '}');
  }
  return members;
}

/** The values of a list, each as its text. */
export function elementsOf(text: string): string[] {
  const elements: string[] = [];
  const at = skipSpace(text, 0);
  if (text[at] !== '[') throw notJson(text, at);
  let next = skipSpace(text, at + 1);
  while (text[next] !== ']') {
    const end = valueEnd(text, next);
    elements.push(text.slice(next, end));
    next = afterComma(text, end, ']');
  }
  return elements;
}

/** How many numbers are in the text of a list of numbers; undefined where it is no such list. */
export function lengthOfVector(text: string): number | undefined {
  if (!isVector.test(text)) return undefined;
  if (emptyList.test(text)) return 0;
  let length = 1;
  for (let at = text.indexOf(','); at >= 0; at = text.indexOf(',', at + 1)) length += 1;
  return length;
}

/** The same text for the same value, whatever the order of names, the escapes and the form of a fraction. */
export function canonical(text: string): string {
  switch (text[0]) {
    case '{': {
      const members = [...membersOf(text)].sort(([a], [b]) => (a < b ? -1 : 1));
      return `{${members.map(([name, value]) => `${JSON.stringify(name)}:${canonical(value)}`).join(',')}}`;
    }
    case '[':
      return `[${elementsOf(text).map(canonical).join(',')}]`;
    case '"':
      return JSON.stringify(JSON.parse(text));
    default:
      return /^-?\d+$/.test(text) ? text : /^-?\d/.test(text) ? `f${Number(text)}` : text;
  }
}

/** Between values a line end means nothing, and in strings there is none: one record is one line. */
export function inOneLine(text: string): string {
  return text.includes('\n') || text.includes('\r') ? text.replace(/[\r\n]+/g, ' ') : text;
}

const isVector = /^\[[-+0-9.eE,\s]*\]$/;
const emptyList = /^\[\s*\]$/;
const quote = 0x22;
const backslash = 0x5c;

function skipSpace(text: string, from: number): number {
  let at = from;
  while (text.charCodeAt(at) <= 0x20) at += 1;
  return at;
}

function afterComma(text: string, end: number, closing: string): number {
  const at = skipSpace(text, end);
  if (text[at] === closing) return at;
  const next = skipSpace(text, at + 1);
  if (text[at] !== ',' || text[next] === closing) throw notJson(text, at);
  return next;
}

function valueEnd(text: string, from: number): number {
  const first = text[from];
  if (first === '"') return stringEnd(text, from);
  if (first === '{' || first === '[') return nestedEnd(text, from);
  const scalar = /[-+.\w]+/y;
  scalar.lastIndex = from;
  if (!scalar.test(text)) throw notJson(text, from);
  return scalar.lastIndex;
}

function stringEnd(text: string, from: number): number {
  for (let at = text.indexOf('"', from + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let slashes = 0;
    while (text.charCodeAt(at - 1 - slashes) === backslash) slashes += 1;
    if (slashes % 2 === 0) return at + 1;
  }
  throw notJson(text, text.length);
}

function nestedEnd(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === quote) at = stringEnd(text, at) - 1;
    // [ and {, then ] and }: they differ in one bit.
    else if ((code & 0xdf) === 0x5b) depth += 1;
    else if ((code & 0xdf) === 0x5d && --depth === 0) return at + 1;
  }
  throw notJson(text, text.length);
}

function notJson(text: string, at: number): PkbackupError {
  const what = at >= text.length ? 'it ends in the middle' : `"${text.slice(at, at + 20)}" at ${at}`;
  return new PkbackupError('failed', `not the JSON that was expected: ${what}`);
}
