// Another store for a config file that is there: a line after the last store, and nothing else in the file changes.
import { isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import { PkbackupError } from '../errors.ts';
import { entryLines } from './draft.ts';
import type { FoundStore } from './found-stores.ts';

/** Gives the new text; throws `config` where the stores are not written one on a line. */
export function addStores(text: string, added: readonly FoundStore[], directory: string): string {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const stores = document.get('stores', true);
  const end = text.includes('\r\n') ? '\r\n' : '\n';
  const entriesAt = (indent: string) =>
    added.flatMap((store) => entryLines(store, directory)).map((line) => `${indent}${line}${end}`);
  if (stores === undefined) {
    const gap = text === '' || text.endsWith('\n') ? '' : end;
    return `${text}${gap}stores:${end}${entriesAt('  ').join('')}`;
  }
  const last = isMap(stores) && !stores.flow ? stores.items.at(-1) : undefined;
  const lastRange = last && rangeOf(last.value);
  if (!last || !isScalar(last.key) || !last.key.range) throw notLineByLine();
  const indent = ' '.repeat(lines.linePos(last.key.range[0]).col - 1);
  const valueEnd = lastRange?.[1] ?? last.key.range[1];
  const lineEnd = text.indexOf('\n', Math.max(valueEnd - 1, 0));
  const at = lineEnd < 0 ? text.length : lineEnd + 1;
  const gap = lineEnd < 0 ? end : '';
  return `${text.slice(0, at)}${gap}${entriesAt(indent).join('')}${text.slice(at)}`;
}

function rangeOf(value: unknown): readonly number[] | undefined {
  if (typeof value !== 'object' || value === null || !('range' in value)) return undefined;
  return Array.isArray(value.range) ? value.range : undefined;
}

function notLineByLine(): PkbackupError {
  return new PkbackupError('config', 'the stores of the config file are not written one on a line', {
    hint: 'write each on a line of its own below "stores:", or add the new one by hand',
  });
}
