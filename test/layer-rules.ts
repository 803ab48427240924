// The layer rules of docs/design.md as data, and the check that holds them. It reads the text of the sources: which
// module imports which, through which door a package comes in, and who talks to the terminal.

/** What a folder of src may import: `values` at run time, `types` only with `import type`. Root files are for everyone. */
export interface Allowed {
  readonly values: readonly string[];
  readonly types: readonly string[];
}

export const allowed: Readonly<Record<string, Allowed>> = {
  archive: { values: [], types: [] },
  // The empty image that helpers are made from is a tar.
  docker: { values: ['archive'], types: [] },
  // Messages to people: composed elsewhere, sent here.
  notify: { values: [], types: [] },
  retention: { values: [], types: [] },
  schedule: { values: [], types: [] },
  // The schedulers of the system: it runs their programs and writes their files, with the texts of `schedule`.
  schedulers: { values: ['schedule'], types: [] },
  /** What older scripts left: it gives it in the shape that stores take, and knows neither those nor a repository. */
  legacy: { values: ['archive'], types: [] },
  /** Its listing shows what older scripts left, too. */
  repository: { values: ['legacy'], types: [] },
  quiesce: { values: ['docker'], types: [] },
  stores: { values: ['archive', 'docker'], types: [] },
  // Whether a text is a schedule is said with the other mistakes of the config file.
  config: { values: ['stores', 'repository', 'docker', 'schedule', 'notify'], types: ['retention'] },
  // Whether a run was missed is told by the schedule that it was to keep.
  operations: {
    values: ['stores', 'archive', 'legacy', 'repository', 'quiesce', 'retention', 'schedule', 'docker'],
    types: ['config'],
  },
  reporters: { values: [], types: ['operations', 'notify', 'schedule'] },
  cli: {
    values: [
      'config',
      'docker',
      'notify',
      'operations',
      'quiesce',
      'reporters',
      'repository',
      'retention',
      'schedule',
      'schedulers',
      'stores',
    ],
    types: [],
  },
};

/** Files of src itself: they know no layer. `process.ts` runs programs, which a pure layer never does. */
const rootFiles = [
  'errors',
  'events',
  'words',
  'near',
  'owner',
  'secret',
  'sync-directory',
  'version',
  'process',
];
const pure = ['archive', 'retention', 'schedule', 'reporters', 'config'];

/** The places where a package may come in. */
export const doors: Readonly<Record<string, readonly string[]>> = {
  commander: ['src/cli/'],
  'cron-parser': ['src/schedule/'],
  dockerode: ['src/docker/'],
  execa: ['src/process.ts'],
  nodemailer: ['src/notify/'],
  picomatch: ['src/stores/', 'src/archive/'],
  pino: ['src/reporters/'],
  'tar-stream': ['src/archive/'],
  yaml: ['src/config/'],
  zod: ['src/config/', 'src/repository/', 'src/stores/'],
};

/** Data outside of src that is part of the program. */
const outside = ['package.json', 'docs/pkbackup.schema.json'];

const terminalFolders = ['src/cli/', 'src/reporters/'];
/** A program of its own, which another process starts: its streams are pipes to that one, and it ends itself. */
const ownProgram = /-child\.ts$/;

/** `files` maps the path from the root of the project (`src/cli/main.ts`) to its text. One line for each violation. */
export function violations(files: ReadonlyMap<string, string>, dependencies: readonly string[]): string[] {
  return [...files].flatMap(([path, text]) => [
    ...importsOf(text).flatMap((imported) => judge(path, imported, dependencies)),
    ...judgeTerminal(path, withoutComments(text)),
  ]);
}

export interface Import {
  readonly specifier: string;
  readonly isTypeOnly: boolean;
}

/** Static and dynamic imports and re-exports, as they are written. */
export function importsOf(source: string): Import[] {
  const text = withoutComments(source);
  const found: Import[] = [];
  const fromStatement = /^[ \t]*(?:import|export)\s+([^'";]*?)\s*from\s*['"]([^'"]+)['"]/gm;
  for (const [, clause = '', specifier = ''] of text.matchAll(fromStatement)) {
    found.push({ specifier, isTypeOnly: isTypeOnly(clause) });
  }
  for (const [, specifier = ''] of text.matchAll(/^[ \t]*import\s*['"]([^'"]+)['"]/gm)) {
    found.push({ specifier, isTypeOnly: false });
  }
  for (const [, specifier = ''] of text.matchAll(/\bimport\(\s*['"]([^'"]+)['"]/g)) {
    found.push({ specifier, isTypeOnly: false });
  }
  return found;
}

/** `type { A }`, or `{ type A, type B }`. */
function isTypeOnly(clause: string): boolean {
  if (clause.startsWith('type ') || clause.startsWith('type{')) return true;
  const names = /^\{(.*)\}$/s
    .exec(clause.trim())?.[1]
    ?.split(',')
    .map((name) => name.trim());
  return names?.filter(Boolean).every((name) => name.startsWith('type ')) ?? false;
}

function judge(path: string, { specifier, isTypeOnly }: Import, dependencies: readonly string[]): string[] {
  if (specifier.startsWith('node:')) return [];
  if (!specifier.startsWith('.')) return judgePackage(path, specifier, dependencies);
  const target = new URL(specifier, `file:///${path}`).pathname.slice(1);
  if (!target.startsWith('src/'))
    return outside.includes(target) ? [] : [`${path} imports ${target}, outside src`];
  return judgeLayer(path, target, isTypeOnly);
}

function judgePackage(path: string, specifier: string, dependencies: readonly string[]): string[] {
  const name = specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
  if (!dependencies.includes(name)) return [`${path} imports "${name}", which is not in package.json`];
  const places = doors[name] ?? [];
  if (places.some((place) => path.startsWith(place))) return [];
  return [`${path} imports "${name}", which has its door in ${places.join(' and ') || 'no folder'}`];
}

function judgeLayer(path: string, target: string, isTypeOnly: boolean): string[] {
  const from = layerOf(path);
  const to = layerOf(target);
  if (from === to && from !== undefined) return [];
  if (to === undefined) return judgeRootFile(path, target, from);
  if (from === undefined) return [`${path} imports ${target}: files of src itself know no layer`];
  const rule = allowed[from];
  if (rule === undefined) return [`${path}: the folder "${from}" has no rule`];
  if (rule.values.includes(to) || (isTypeOnly && rule.types.includes(to))) return [];
  const but = rule.types.includes(to) ? ' other than as a type' : '';
  return [`${path} imports ${target}: ${from} must not import ${to}${but}`];
}

function judgeRootFile(path: string, target: string, from: string | undefined): string[] {
  const name = target.replace(/^src\//, '').replace(/\.ts$/, '');
  if (!rootFiles.includes(name))
    return [`${path} imports ${target}, which is no file that everyone may import`];
  if (name === 'process' && from !== undefined && pure.includes(from)) {
    return [`${path} imports ${target}: ${from} must not run programs`];
  }
  return [];
}

/** The folder below src; undefined for files of src itself. */
function layerOf(path: string): string | undefined {
  return /^src\/([^/]+)\//.exec(path)?.[1];
}

function judgeTerminal(path: string, text: string): string[] {
  if (terminalFolders.some((folder) => path.startsWith(folder))) return [];
  const found = [...text.matchAll(/\bconsole\s*\.|\bprocess\s*\.\s*(?:exit|stdout|stderr|stdin)\b/g)];
  const wrong = found.filter(([use]) => use.startsWith('console') || !ownProgram.test(path));
  return wrong.map(([use]) => `${path} uses ${use}: only cli and reporters talk to the terminal`);
}

/** Comments are cut out, texts are kept: good enough for sources that a formatter has formatted. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[\s;{}(,])\/\/[^\n]*/g, '$1');
}
