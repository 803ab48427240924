// Makes dist/: the published program as a few files that start fast. Our own code is in two halves, what every command needs
// and the rest, and a module is evaluated when it is first imported; packages are files of their own, read when they are
// first used.
// Run with: npm run build
import { globSync, readFileSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, build, type Plugin, transform } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const packages = Object.keys(
  (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: object }).dependencies,
);

/**
 * What dockerode brings along for ways to Docker that pkbackup does not use (ssh, with native code; BuildKit, with gRPC;
 * build contexts), what commander runs commands with that are programs of their own, and zod's messages in fifty
 * languages. Each becomes an empty module.
 */
const unusedPackages =
  /^(ssh2|cpu-features|@grpc\/grpc-js|@grpc\/proto-loader|protobufjs|tar-fs|@balena\/dockerignore)$/;
const unusedLocales = /\/locales\/index\.js$/;
const unusedByCommander = /^node:child_process$/;

const leaveOutUnused: Plugin = {
  name: 'leave-out-unused',
  setup({ onResolve, onLoad }) {
    const unused = (path: string) => ({ path, namespace: 'unused' });
    onResolve({ filter: unusedPackages }, ({ path }) => unused(path));
    onResolve({ filter: unusedLocales }, ({ path }) => unused(path));
    onResolve({ filter: unusedByCommander }, ({ path, importer }) => {
      return /[\\/]commander[\\/]/.test(importer) ? unused(path) : undefined;
    });
    onLoad({ filter: /.*/, namespace: 'unused' }, () => ({ contents: 'module.exports = {};', loader: 'js' }));
  },
};

const ourSources = /[\\/]src[\\/].*\.ts$/;
const namedImport = /^import (?:\w+,? )?\{([^}]*)\} from '([^']+)';$/gm;
const importedLater = /\bimport\(\s*["'](\.[^"']+)["'],?\s*\)/g;
const wholeBuiltin = /^import (\w+)(?:, (\{[^}]*\}))? from "(node:[\w/]+)";$/gm;

/**
 * In our code, modules of Node and packages are loaded when something of them is first used. An `import` of a module of Node
 * reads every export of it at once: that of `node:http` loads all of `fetch` (40 ms).
 */
const loadWhenUsed: Plugin = {
  name: 'load-when-used',
  setup({ onResolve, onLoad }) {
    const names = importedNames();
    onLoad({ filter: ourSources }, async ({ path }) => {
      const { code } = await transform(readFileSync(path, 'utf8'), { loader: 'ts', target: 'node24' });
      const contents = code
        .replaceAll(wholeBuiltin, (_, name, named, builtin) => {
          const more = named === undefined ? '' : `import ${named} from '${builtin}';`;
          return `const ${name} = ${askedFor(builtin)}; ${more}`;
        })
        .replaceAll(importedLater, (asWritten, module) => later(join(dirname(path), module)) ?? asWritten);
      return { contents, loader: 'js' };
    });
    onResolve({ filter: /^(node:[\w/]+|[\w-]+)$/ }, ({ path, kind, importer }) => {
      if (!ourSources.test(importer)) return undefined;
      if (path.startsWith('node:')) {
        return kind === 'import-statement' ? { path, namespace: 'builtin' } : undefined;
      }
      return packages.includes(path) ? { path, namespace: 'package' } : undefined;
    });
    onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => {
      return { contents: gettersOf(names.get(path) ?? [], askedFor(path)), loader: 'js' };
    });
    onLoad({ filter: /.*/, namespace: 'package' }, ({ path }) => {
      return {
        contents: gettersOf(names.get(path) ?? [], `require('./packages/${path}.cjs')`),
        loader: 'js',
      };
    });
    onResolve({ filter: /^\.\/packages\// }, ({ path }) => ({ path, external: true }));
    onResolve({ filter: /^the-rest$/ }, () => ({ path: 'the-rest', namespace: 'the-rest' }));
    onLoad({ filter: /.*/, namespace: 'the-rest' }, () => {
      const modules = modulesOfTheRest().map(
        (path) => `${JSON.stringify(path)}: () => require(${JSON.stringify(path)})`,
      );
      return {
        contents: `export const modules = { ${modules.join(', ')} };`,
        loader: 'js',
        resolveDir: root,
      };
    });
    // `pkbackup --version` is over before the rest would be read.
    onResolve({ filter: /^\.\/program\.ts$/ }, ({ kind }) => {
      return kind === 'dynamic-import' ? { path: './program.js', external: true } : undefined;
    });
  },
};

function askedFor(builtin: string): string {
  return `globalThis.process.getBuiltinModule('${builtin}')`;
}

/** A module of these names, or one that is the other where that is imported as a whole. */
function gettersOf(names: Iterable<string>, module: string): string {
  const getters = [...names].map((name) => `get ${name}() { return (loaded ??= ${module}).${name}; }`);
  return getters.length === 0
    ? `module.exports = ${module};`
    : `let loaded; module.exports = { ${getters.join(', ')} };`;
}

/** By module, what our sources import of it by name. */
function importedNames(): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const path of globSync('src/**/*.ts', { cwd: root })) {
    for (const [, list = '', module = ''] of readFileSync(join(root, path), 'utf8').matchAll(namedImport)) {
      const names = list.split(',').map(
        (item) =>
          item
            .trim()
            .replace(/^type /, '')
            .split(' as ')[0] ?? '',
      );
      found.set(module, new Set([...(found.get(module) ?? []), ...names.filter(Boolean)]));
    }
  }
  return found;
}

/** An `import` of it, which is evaluated then; undefined where it stays as it is written. */
function later(path: string): string | undefined {
  if (path === program) return undefined;
  if (usedByAll.includes(path)) return `Promise.resolve().then(() => require(${JSON.stringify(path)}))`;
  return `import('the-rest').then(({ modules }) => modules[${JSON.stringify(path)}]())`;
}

const program = join(root, 'src/cli/program.ts');
/** What people wait for most often is `list`: reading all of the rest takes as long as what it does. */
const usedByAll = ['src/cli/list.ts', 'src/config/settings.ts'].map((path) => join(root, path));

/** Where the second half begins. */
function modulesOfTheRest(): string[] {
  const found = globSync('src/**/*.ts', { cwd: root }).flatMap((path) => {
    const code = readFileSync(join(root, path), 'utf8').replaceAll(/typeof import\(.*?\)/g, '');
    return [...code.matchAll(importedLater)].map(([, module = '']) => join(root, dirname(path), module));
  });
  return [...new Set(found)].filter((path) => path !== program && !usedByAll.includes(path));
}

/** Programs and threads of their own, which are started by their path beside the file that starts them. */
const children = globSync('src/**/*-{child,worker}.ts', { cwd: root }).map((path) => [
  basename(path, '.ts'),
  path,
]);

const common: BuildOptions & { metafile: true } = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node24',
  // Whitespace and syntax, but not names: a stack trace must stay readable.
  minifySyntax: true,
  minifyWhitespace: true,
  keepNames: true,
  legalComments: 'linked',
  metafile: true,
  logLevel: 'warning',
};

/** Builds into `dist`, which is emptied first; gives the number of files and their bytes. */
export async function buildInto(dist: string): Promise<{ files: number; bytes: number }> {
  rmSync(dist, { recursive: true, force: true });
  const ours = {
    ...common,
    // They stay as they are written; only packages ask classes for theirs.
    keepNames: false,
    outdir: dist,
    format: 'esm',
    plugins: [loadWhenUsed],
    banner: { js: `const require = ${askedFor('node:module')}.createRequire(import.meta.url);` },
  } satisfies BuildOptions;
  const built = [
    await build({
      ...ours,
      entryPoints: { pkbackup: 'src/cli/main.ts', program: 'src/cli/program.ts' },
      splitting: true,
      chunkNames: 'part-[hash]',
    }),
    await build({ ...ours, entryPoints: Object.fromEntries(children) }),
  ];
  const used = packages.filter((name) => built.some(({ metafile }) => metafile.inputs[`package:${name}`]));
  const theirs = await build({
    ...common,
    entryPoints: Object.fromEntries(used.map((name) => [name, name])),
    outdir: join(dist, 'packages'),
    outExtension: { '.js': '.cjs' },
    format: 'cjs',
    plugins: [leaveOutUnused],
  });
  const outputs = [...built, theirs].flatMap(({ metafile }) => Object.values(metafile.outputs));
  return { files: outputs.length, bytes: outputs.reduce((sum, { bytes }) => sum + bytes, 0) };
}

if (import.meta.main) {
  const { files, bytes } = await buildInto(join(root, 'dist'));
  console.log(`dist: ${files} files, ${Math.round(bytes / 1000)} kB`);
}
