// The JSON Schema that editors use is made from what checks the file, and from what the docs say of it.
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { makeSchema, schemaPath } from '../../scripts/make-schema.ts';
import { pkbackup } from '../cli/program.ts';

const published = readFileSync(schemaPath, 'utf8');

it('the published schema is up to date: npm run schema makes it', () => {
  expect(makeSchema()).toBe(published);
});

it('"config schema" prints it', async () => {
  const { stdout, exitCode } = await pkbackup(['config', 'schema']);
  expect(exitCode).toBe(0);
  expect(JSON.parse(stdout)).toEqual(JSON.parse(published));
});

it('it says of every key what it means', () => {
  const without: string[] = [];
  const walk = (node: unknown, path: string) => {
    if (typeof node !== 'object' || node === null) return;
    for (const [key, value] of Object.entries(node)) {
      const isKey = /(\/properties|\/definitions\/common)$/.test(path) && !path.includes('/if/');
      if (isKey && !value.description && !value.$ref) without.push(`${path}/${key}`);
      walk(value, `${path}/${key}`);
    }
  };
  walk(JSON.parse(published), '');
  expect(without).toEqual([]);
});
