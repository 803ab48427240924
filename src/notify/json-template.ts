// A JSON document with placeholders in its texts: `{title}`. It is data from the first to the last, so nothing that a message
// says can change its structure.

export type JsonTemplate =
  | string
  | number
  | boolean
  | null
  | readonly JsonTemplate[]
  | { readonly [key: string]: JsonTemplate };

const placeholder = /\{([a-z_]+)\}/g;

/** What stands for nothing but one placeholder becomes its value, whatever its type; within a text it becomes text. */
export function fillTemplate(template: JsonTemplate, values: Readonly<Record<string, unknown>>): unknown {
  if (typeof template === 'string') return fillText(template, values);
  if (template === null || typeof template !== 'object') return template;
  if (isList(template)) return template.map((item) => fillTemplate(item, values));
  return Object.fromEntries(
    Object.entries(template).map(([key, value]) => [key, fillTemplate(value, values)]),
  );
}

/** Every placeholder in it. */
export function placeholdersIn(template: JsonTemplate): string[] {
  if (typeof template === 'string') return [...template.matchAll(placeholder)].map(([, name = '']) => name);
  if (template === null || typeof template !== 'object') return [];
  return (isList(template) ? template : Object.values(template)).flatMap(placeholdersIn);
}

function isList(template: object): template is readonly JsonTemplate[] {
  return Array.isArray(template);
}

function fillText(text: string, values: Readonly<Record<string, unknown>>): unknown {
  const [, only] = /^\{([a-z_]+)\}$/.exec(text) ?? [];
  if (only !== undefined && only in values) return values[only] ?? null;
  return text.replace(placeholder, (all, name: string) => (name in values ? shown(values[name]) : all));
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
