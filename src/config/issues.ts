// Each mistake that zod finds becomes one line: what was expected, what is there, and the near word.
import { z } from 'zod';
import { didYouMean } from '../near.ts';

/** A mistake with the path of its key in the file. */
export interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

type ZodIssue = z.core.$ZodIssue;

/** The data as the schema gives it; where the schema refuses it, undefined, and the mistakes are added to `issues`. */
export function checked<T>(
  schema: z.ZodType<T>,
  data: unknown,
  path: readonly PropertyKey[],
  issues: Issue[],
  furtherKeys: readonly string[] = [],
): T | undefined {
  const result = schema.safeParse(data);
  if (result.success) return result.data;
  issues.push(...describeIssues(result.error, schema, data, path, furtherKeys));
  return undefined;
}

/** The mistakes of `data` at `prefix` in the file; `furtherKeys` are known there beside those of the schema. */
export function describeIssues(
  error: z.ZodError,
  schema: z.ZodType,
  data: unknown,
  prefix: readonly PropertyKey[] = [],
  furtherKeys: readonly string[] = [],
): Issue[] {
  return describeAll(error.issues, schema, data, prefix, furtherKeys);
}

function describeAll(
  issues: readonly ZodIssue[],
  schema: z.ZodType,
  data: unknown,
  prefix: readonly PropertyKey[],
  furtherKeys: readonly string[],
): Issue[] {
  return issues.flatMap((issue) => {
    const meant = issue.code === 'invalid_union' ? meantBranch(issue) : undefined;
    if (meant) return describeAll(meant, schema, data, prefix, furtherKeys);
    if (issue.code === 'unrecognized_keys') {
      const known = [...keysOf(schema, data, issue.path), ...(issue.path.length === 0 ? furtherKeys : [])];
      return issue.keys.map((key) => ({
        path: [...prefix, ...issue.path, key],
        message: unknownKey(key, known),
      }));
    }
    return [{ path: [...prefix, ...issue.path], message: describe(issue, valueAt(data, issue.path)) }];
  });
}

/** Of several forms, the one whose type the value has: what is wrong inside it is what matters. */
function meantBranch({ errors, path }: z.core.$ZodIssueInvalidUnion): ZodIssue[] | undefined {
  const ofItsType = errors.filter((branch) => {
    return !branch.some((issue) => issue.code === 'invalid_type' && issue.path.length === 0);
  });
  const [branch, ...others] = ofItsType;
  if (branch === undefined || others.length > 0) return undefined;
  return branch.map((issue) => ({ ...issue, path: [...path, ...issue.path] }));
}

function unknownKey(key: string, known: readonly string[]): string {
  return `unknown key${didYouMean(key, known) || (known.length > 0 ? ` (known are ${known.join(', ')})` : '')}`;
}

function describe(issue: ZodIssue, value: unknown): string {
  const what = expectation(issue);
  if (value === undefined && issue.code !== 'custom') return `missing (${what})`;
  // A rule over several keys says itself what is expected of which.
  if (issue.code === 'custom' && typeof value === 'object') return what;
  const near = typeof value === 'string' ? didYouMean(value, namedIn(issue)) : '';
  return `${what}, got ${shown(value, issue.path)}${near}`;
}

/** What the value may be, where it is one of several words. */
function namedIn(issue: ZodIssue): string[] {
  if (issue.code === 'invalid_value') return issue.values.map(String);
  const options: unknown = 'options' in issue ? issue.options : [];
  return issue.code === 'invalid_union' && Array.isArray(options) ? options.map(String) : [];
}

function expectation(issue: ZodIssue): string {
  const named = issue.code === 'invalid_union' ? namedIn(issue) : [];
  if (named.length > 0) return `expected one of ${named.join(', ')}`;
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${typeNames[issue.expected] ?? issue.expected}`;
    case 'invalid_value':
      return issue.values.length === 1
        ? `expected ${String(issue.values[0])}`
        : `expected one of ${issue.values.join(', ')}`;
    case 'too_small':
      if (issue.origin !== 'number') return 'expected something that is not empty';
      return `expected ${issue.inclusive ? 'at least' : 'more than'} ${issue.minimum}`;
    case 'too_big':
      return issue.origin === 'number' ? `expected at most ${issue.maximum}` : issue.message;
    case 'invalid_union':
      return `expected ${[...new Set(issue.errors.flat().map(expectation))].join(' or ').replaceAll('or expected', 'or')}`.replace(
        'expected expected',
        'expected',
      );
    case 'invalid_format':
      return issue.format === 'starts_with' && 'prefix' in issue
        ? `expected a text that starts with "${issue.prefix}"`
        : issue.message;
    default:
      return issue.message;
  }
}

const typeNames: Record<string, string> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a mapping',
  record: 'a mapping',
  array: 'a list',
};

function shown(value: unknown, path: readonly PropertyKey[]): string {
  if (/password|secret|token|url/i.test(String(path.at(-1)))) return '[redacted]';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'a mapping';
  return value === null ? 'nothing' : JSON.stringify(value);
}

function valueAt(data: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, step) => {
    return typeof value === 'object' && value !== null ? Reflect.get(value, step) : undefined;
  }, data);
}

/** The keys that `schema` knows at `path`, whatever transformations it has around it. */
function keysOf(schema: z.ZodType, data: unknown, path: readonly PropertyKey[]): string[] {
  const whole: unknown = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  const part = path.reduce<unknown>((node, step, depth) => {
    return formsOf(node, valueAt(data, path.slice(0, depth)))
      .map((form) => valueAt(form, ['properties', step]) ?? valueAt(form, ['additionalProperties']))
      .find((found) => found !== undefined);
  }, whole);
  const keys = formsOf(part, valueAt(data, path)).flatMap((form) => Object.keys(propertiesOf(form)));
  return [...new Set(keys)];
}

/** Of several forms, those whose fixed values (`kind: slack`) are the ones that are there. */
function formsOf(node: unknown, value: unknown): unknown[] {
  const forms = valueAt(node, ['anyOf']) ?? valueAt(node, ['oneOf']);
  if (!Array.isArray(forms)) return [node];
  return forms.filter((form) => {
    return Object.entries(propertiesOf(form)).every(([key, property]) => {
      const fixed = valueAt(property, ['enum']) ?? valueAt(property, ['const']);
      const there = valueAt(value, [key]);
      return fixed === undefined || there === undefined || [fixed].flat().includes(there);
    });
  });
}

function propertiesOf(form: unknown): object {
  const properties = valueAt(form, ['properties']);
  return typeof properties === 'object' && properties !== null ? properties : {};
}
