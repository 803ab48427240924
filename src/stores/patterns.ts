// Include and exclude patterns, with the meaning that .gitignore gives them (docs/stores/directory.md says it exactly).
import picomatch from 'picomatch';
import { z } from 'zod';

/** `*.tmp`, `logs/`, `data/*.json`, `/only-here`; nothing else than what can be told from its text. */
export const patternSchema = z
  .string()
  .min(1)
  .refine(
    (text) => !text.startsWith('!'),
    'a pattern cannot begin with "!"; use include for what is to be saved',
  )
  .refine(
    (text) => !text.includes('\\') || process.platform !== 'win32',
    'write "/" between the parts of a pattern',
  )
  .refine((text) => !text.split('/').includes('..'), 'a pattern cannot leave the directory with ".."')
  .refine((text) => text.replaceAll('/', '') !== '', 'a pattern needs more than slashes');

export interface Patterns {
  readonly include?: readonly string[] | undefined;
  readonly exclude?: readonly string[] | undefined;
}

/** `descend`: not taken itself, but something in it may be. */
export type Skip = (relativePath: string, isDirectory: boolean) => boolean | 'descend';

type Matches = (relativePath: string, isDirectory: boolean) => boolean;
const rememberedDirectories = 10_000;

export function skipOf({ include, exclude = [] }: Patterns): Skip {
  const isExcluded = anyOf(exclude);
  const isIncluded = include ? withinIncluded(anyOf(include)) : () => true;
  return (path, isDirectory) => {
    if (isExcluded(path, isDirectory)) return true;
    if (isIncluded(path, isDirectory)) return false;
    return isDirectory ? 'descend' : true;
  };
}

function anyOf(patterns: readonly string[]): Matches {
  const matchers = patterns.map(matcherOf);
  return (path, isDirectory) => matchers.some((matches) => matches(path, isDirectory));
}

function matcherOf(pattern: string): Matches {
  const body = pattern.replace(/^\.?\//, '').replace(/\/+$/, '');
  const isForDirectories = pattern.endsWith('/');
  const isAnchored = /^\.?\//.test(pattern) || body.includes('/');
  const matches = picomatch(isAnchored ? body : `**/${body}`, { dot: true, nonegate: true, windows: false });
  return (path, isDirectory) => (isDirectory || !isForDirectories) && matches(path);
}

/** What is included takes along everything that is in it. */
function withinIncluded(matches: Matches): Matches {
  const known = new Map<string, boolean>();
  const hasDirectory = (path: string): boolean => {
    const verdict = known.get(path) ?? (matches(path, true) || hasParent(path));
    if (known.size >= rememberedDirectories) known.clear();
    known.set(path, verdict);
    return verdict;
  };
  const hasParent = (path: string): boolean => {
    const slash = path.lastIndexOf('/');
    return slash !== -1 && hasDirectory(path.slice(0, slash));
  };
  return (path, isDirectory) => (isDirectory ? hasDirectory(path) : matches(path, false) || hasParent(path));
}
