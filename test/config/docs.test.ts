import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { parseConfig } from '../../src/config/config-file.ts';
import { commonStoreSchema, configSchema } from '../../src/config/schema.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const page = readFileSync(join(root, 'docs', 'configuration.md'), 'utf8');
const keysOf = (schema: z.ZodType) => {
  return Object.keys(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }).properties ?? {});
};

it('docs/configuration.md describes every key', () => {
  const keys = [configSchema, configSchema.shape.retention.unwrap(), commonStoreSchema].flatMap(keysOf);
  expect(keys).toContain('keep_weekly');
  expect(keys.filter((key) => !page.includes(`\`${key}`))).toEqual([]);
});

it.each(['README.md', 'docs/configuration.md'])('the example of %s is a config file', (path) => {
  const text = readFileSync(join(root, path), 'utf8');
  const [, example = ''] = /```yaml\n([\s\S]*?)```/.exec(text) ?? [];
  expect(parseConfig(example, '/srv/pkbackup.yaml', path, {}).stores.length).toBeGreaterThan(1);
});
