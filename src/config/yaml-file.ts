// A YAML file as data, with the line of every key and `${NAME}` replaced, so that every error can name file, line and key.
import {
  type Document,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  Scalar,
  visit,
} from 'yaml';
import { type Environment, substitute } from './substitute.ts';

export interface YamlFile {
  readonly data: unknown;
  /** What is wrong with the text itself: then there is no data. */
  readonly syntaxErrors: readonly Mistake[];
  /** Variables that are not set; their places hold the text as it is written. */
  readonly unset: readonly Mistake[];
  /** Line (from 1) of the key, or of the nearest one above it that is in the file. */
  lineOf(path: readonly PropertyKey[]): number;
}

/** Something wrong in a file that a person has written. */
export interface Mistake {
  readonly line: number;
  /** `stores.events.path`; empty where it is no key's. */
  readonly key: string;
  readonly message: string;
}

export function parseYaml(text: string, environment: Environment): YamlFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true });
  const lineAt = (offset: number) => lines.linePos(offset).line;
  const syntaxErrors = syntaxErrorsOf(document, lineAt);
  const unset = syntaxErrors.length > 0 ? [] : substituteAll(document, environment, lineAt);
  const root = document.contents;
  return {
    syntaxErrors,
    unset,
    data: syntaxErrors.length > 0 ? {} : (document.toJS() ?? {}),
    lineOf: (path) => lineAt(offsetOf(root, path)),
  };
}

/** One mistake often makes the parser stumble again on the same line: the first says it best. */
function syntaxErrorsOf({ errors }: Document.Parsed, lineAt: (offset: number) => number): Mistake[] {
  const byLine = new Map(errors.toReversed().map((error) => [lineAt(error.pos[0]), error.message]));
  return [...byLine].toReversed().map(([line, message]) => ({ line, key: '', message: plain(message) }));
}

function substituteAll(
  document: Document.Parsed,
  environment: Environment,
  lineAt: (offset: number) => number,
): Mistake[] {
  const mistakes: Mistake[] = [];
  visit(document, {
    Scalar(key, node, ancestors) {
      if (key === 'key' || typeof node.value !== 'string') return;
      const { value, unset } = substitute(node.value, environment);
      const place = { line: lineAt(node.range?.[0] ?? 0), key: keyOf(ancestors) };
      mistakes.push(...unset.map((name) => ({ ...place, message: `the variable "${name}" is not set` })));
      if (value !== node.value) node.value = node.type === Scalar.PLAIN ? typed(value) : value;
    },
  });
  return mistakes;
}

function keyOf(ancestors: readonly unknown[]): string {
  return ancestors
    .filter(isPair)
    .map(({ key }) => (isScalar(key) ? String(key.value) : ''))
    .join('.');
}

/** A plain scalar means after substitution what it would have meant if it had been written so: 7 is a number. */
function typed(text: string): unknown {
  const node = parseDocument(text).contents;
  return isScalar(node) ? node.value : text;
}

function offsetOf(root: Node | null, path: readonly PropertyKey[]): number {
  let node: unknown = root;
  let offset = root?.range?.[0] ?? 0;
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
      if (pair === undefined) break;
      if (isScalar(pair.key)) offset = pair.key.range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(step)];
      if (isScalar(node) || isMap(node) || isSeq(node)) offset = node.range?.[0] ?? offset;
    } else break;
  }
  return offset;
}

/** Messages of the yaml package begin with a capital and may end with a full stop or a second line. */
function plain(message: string): string {
  const [first = ''] = message.split('\n');
  return first.charAt(0).toLowerCase() + first.slice(1).replace(/[.:]$/, '');
}
