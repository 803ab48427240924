// The schema of pkbackup.yaml as JSON Schema, for editors: made from the zod schemas that check the file, so that both say
// the same. What only zod can say (a level that fits the compression, a time zone that exists) is left to `config check`.
import { z } from 'zod';
import { stores } from '../stores/index.ts';
import type { Store } from '../stores/store.ts';
import { commonStoreSchema, configSchema } from './schema.ts';

export type JsonSchema = { [key: string]: unknown };

/** Gives the text for a key at the top (`''`), of every store (`store`), of a kind, or of `retention`. */
export type Describe = (where: string, key: string) => string | undefined;

export function configJsonSchema(describe: Describe): JsonSchema {
  const { retention, ...properties } = described(objectOf(configSchema).properties, '', describe);
  const common = described(objectOf(commonStoreSchema).properties, 'store', describe);
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'pkbackup.yaml',
    type: 'object',
    properties: {
      ...properties,
      retention: { $ref: '#/definitions/retention' },
      stores: {
        type: 'object',
        description: describe('', 'stores'),
        propertyNames: { pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$' },
        additionalProperties: { $ref: '#/definitions/store' },
      },
    },
    additionalProperties: false,
    definitions: {
      variable: {
        description: 'a variable of the environment or of .env',
        type: 'string',
        pattern: '\\$\\{[A-Za-z_][A-Za-z0-9_]*',
      },
      retention,
      common: { ...common, retention: { $ref: '#/definitions/retention' } },
      store: anyStore(Object.keys(common), describe),
    },
  };
}

/** Which keys there are depends on the kind; without one, editors offer the kinds. */
function anyStore(common: readonly string[], describe: Describe): JsonSchema {
  return {
    type: 'object',
    required: ['kind'],
    properties: { kind: { $ref: '#/definitions/common/kind' } },
    allOf: stores.map((store) => ({
      if: { required: ['kind'], properties: { kind: { const: store.kind } } },
      // biome-ignore lint/suspicious/noThenProperty: the word of JSON Schema
      then: ofKind(store, common, describe),
    })),
  };
}

function ofKind({ kind, schema, quiesce }: Store, common: readonly string[], describe: Describe): JsonSchema {
  const { required = [], properties } = objectOf(schema);
  const ofAll = common.map((key) => [key, { $ref: `#/definitions/common/${key}` }]);
  return {
    properties: {
      ...Object.fromEntries(ofAll),
      quiesce: orVariable({ enum: [...quiesce.allowed], description: describe('store', 'quiesce') }),
      ...described(properties, kind, describe),
    },
    ...(required.length > 0 && { required }),
    additionalProperties: false,
  };
}

interface ObjectSchema {
  readonly properties: JsonSchema;
  readonly required?: string[];
}

function objectOf(schema: z.ZodType): ObjectSchema {
  const whole = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', target: 'draft-7' });
  return whole as unknown as ObjectSchema;
}

function described(properties: JsonSchema, where: string, describe: Describe): JsonSchema {
  const entries = Object.entries(properties).map(([key, value]) => {
    const description = describe(where, key);
    const inner = tidied(value as JsonSchema, key, describe);
    return [key, { ...(description !== undefined && { description }), ...inner }];
  });
  return Object.fromEntries(entries);
}

/** `${NAME}` may stand for any value that is no mapping and no list. */
function tidied(schema: JsonSchema, key: string, describe: Describe): JsonSchema {
  // Formats are zod's own words; its patterns say the same.
  const { maximum, format: _, properties, items, anyOf, oneOf, additionalProperties, ...rest } = schema;
  // Any JSON at all.
  if (rest.$ref !== undefined) return {};
  if (typeof additionalProperties === 'object') {
    return { ...rest, additionalProperties: tidied(Object(additionalProperties), key, describe) };
  }
  if (additionalProperties !== undefined) Object.assign(rest, { additionalProperties });
  if (Array.isArray(oneOf)) return { oneOf: oneOf.map((each) => tidied(each, key, describe)) };
  if (properties) return { ...rest, properties: described(Object(properties), key, describe) };
  if (items) return { ...rest, items: tidied(Object(items), key, describe) };
  // The forms of a program: a list, or a mapping.
  if (Array.isArray(anyOf)) return { anyOf: anyOf.map((each) => tidied(each, 'command', describe)) };
  const isBounded = maximum !== undefined && maximum !== Number.MAX_SAFE_INTEGER;
  return orVariable(isBounded ? { ...rest, maximum } : rest);
}

function orVariable(schema: JsonSchema): JsonSchema {
  const { description, ...rest } = schema;
  if (rest.type === 'string' && rest.pattern === undefined && rest.enum === undefined) return schema;
  return {
    ...(description !== undefined && { description }),
    anyOf: [rest, { $ref: '#/definitions/variable' }],
  };
}
