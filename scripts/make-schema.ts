// Writes docs/pkbackup.schema.json: the shape from the schemas in src, the words from the tables in docs. A test holds it.
// Run with: npm run schema
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { configJsonSchema } from '../src/config/json-schema.ts';
import { kinds } from '../src/words.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const schemaPath = join(root, 'docs', 'pkbackup.schema.json');

export function makeSchema(): string {
  const words = new Map([
    ['command.run', 'the program and its arguments'],
    ['command.deadline', 'how long it may take'],
  ]);
  const page = read('docs/configuration.md');
  for (const [where, title] of [
    ['', 'Keys at the top'],
    ['store', 'Keys of every store'],
    ['retention', 'Retention'],
    ['hooks', 'Hooks'],
  ] as const) {
    for (const [key, meaning] of rowsOf(sectionOf(page, title))) words.set(`${where}.${key}`, meaning);
  }
  for (const [key, meaning] of rowsOf(read('docs/messages.md'))) words.set(`notify.${key}`, meaning);
  for (const kind of kinds) {
    for (const [key, meaning] of rowsOf(read(`docs/stores/${kind}.md`))) words.set(`${kind}.${key}`, meaning);
  }
  const schema = configJsonSchema((where, key) => words.get(`${where}.${key}`));
  return `${JSON.stringify(schema, null, 2)}\n`;
}

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

function sectionOf(page: string, title: string): string {
  return page.split(/^## /m).find((section) => section.startsWith(`${title}\n`)) ?? '';
}

/** Of tables whose first column is keys: each key with the text under `meaning`, or `keeps`. */
function rowsOf(text: string): [key: string, meaning: string][] {
  let column = -1;
  return text.split('\n').flatMap((line): [string, string][] => {
    if (!line.startsWith('|')) {
      column = -1;
      return [];
    }
    const cells = line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim());
    const [first = ''] = cells;
    if (first === 'key') column = cells.findIndex((cell) => ['meaning', 'keeps', 'when'].includes(cell));
    const meaning = plain(cells[column] ?? '');
    const keys = [...first.matchAll(/`([a-z_]+)(: [^`]*)?`/g)];
    if (meaning === '') return [];
    return keys.map(([, key = '', value]) => [key, value ? `${meaning} (such as ${key}${value})` : meaning]);
  });
}

function plain(markdown: string): string {
  return markdown
    .replaceAll('`', '')
    .replace(/\[([^\]]+)\]\([^)]*\)/g, '$1')
    .replaceAll('\\|', '|');
}

if (import.meta.main) writeFileSync(schemaPath, makeSchema());
