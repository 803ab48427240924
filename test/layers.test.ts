import { globSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { allowed, importsOf, violations } from './layer-rules.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const packageJson = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'));
const dependencies = Object.keys(packageJson.dependencies);
const sources = new Map(
  globSync('src/**/*.ts', { cwd: root }).map((path) => {
    return [path.replaceAll('\\', '/'), readFileSync(`${root}/${path}`, 'utf8')];
  }),
);

const judged = (path: string, text: string) =>
  violations(new Map([[path, text]]), ['zod', 'dockerode', 'execa']);

describe('the sources', () => {
  it('keep the layers, come through the doors, and leave the terminal to cli and reporters', () => {
    expect(sources.size).toBeGreaterThan(20);
    expect(violations(sources, dependencies)).toEqual([]);
  });

  it('lie in folders that have a rule', () => {
    const folders = [...sources.keys()].flatMap((path) => /^src\/([^/]+)\//.exec(path)?.[1] ?? []);
    expect([...new Set(folders)].filter((folder) => !(folder in allowed))).toEqual([]);
  });
});

describe('the check itself', () => {
  it.each([
    ['src/stores/x.ts', "import { a } from '../operations/backup.ts';", 'stores must not import operations'],
    ['src/archive/x.ts', "export { a } from '../docker/index.ts';", 'archive must not import docker'],
    ['src/stores/x.ts', "const a = await import('../cli/main.ts');", 'stores must not import cli'],
    [
      'src/operations/x.ts',
      "import {\n  a,\n  type B,\n} from '../config/index.ts';",
      'other than as a type',
    ],
    ['src/reporters/x.ts', "import { list } from '../operations/list.ts';", 'other than as a type'],
    ['src/errors.ts', "import type { A } from './config/index.ts';", 'files of src itself know no layer'],
    ['src/retention/x.ts', "import { run } from '../process.ts';", 'must not run programs'],
    ['src/docker/x.ts', "import { x } from '../other.ts';", 'no file that everyone may import'],
    ['src/docker/x.ts', "import { x } from '../../testbed/x.ts';", 'outside src'],
    ['src/operations/x.ts', "import Docker from 'dockerode';", 'has its door in src/docker/'],
    ['src/config/x.ts', "import 'left-pad';", 'is not in package.json'],
    [
      'src/config/x.ts',
      "import { z } from 'zod/v4/core';\nimport a from '@a/b/c';",
      '"@a/b", which is not in package.json',
    ],
    ['src/docker/x.ts', "console.log('x');", 'only cli and reporters'],
    ['src/docker/x.ts', 'process.stdout.write(text);', 'only cli and reporters'],
    ['src/operations/x.ts', 'if (a) process.exit(1);', 'only cli and reporters'],
    ['src/stores/x-child.ts', "console.log('x');", 'only cli and reporters'],
  ])('finds what is wrong in %s: %s', (path, text, expected) => {
    expect(judged(path, text).join('\n')).toContain(expected);
  });

  it.each([
    ['src/operations/x.ts', "import type { A } from '../config/index.ts';"],
    ['src/operations/x.ts', "import { type A, type B } from '../config/index.ts';"],
    [
      'src/stores/x.ts',
      "import { readFile } from 'node:fs/promises';\nimport { PkbackupError } from '../errors.ts';",
    ],
    [
      'src/docker/x.ts',
      "// console.log and process.exit are for cli\nconst url = 'https://x'; /* process.stdout */",
    ],
    ['src/cli/x.ts', "process.stdout.write('x');"],
    ['src/stores/x-child.ts', 'process.exit(1);'],
  ])('lets pass what is right in %s: %s', (path, text) => {
    expect(judged(path, text)).toEqual([]);
  });

  it('sees every form of import', () => {
    const text = [
      "import a from './a.ts';",
      "import * as b from './b.ts';",
      "import type { C } from './c.ts';",
      "export * from './d.ts';",
      "import './e.ts';",
      "import f, { type F } from './f.ts';",
      "  const g = () => import('./g.ts');",
      "export const h = 'from nowhere';",
    ].join('\n');
    const seen = Object.fromEntries(importsOf(text).map((found) => [found.specifier, found.isTypeOnly]));
    expect(seen).toEqual({
      './a.ts': false,
      './b.ts': false,
      './c.ts': true,
      './d.ts': false,
      './e.ts': false,
      './f.ts': false,
      './g.ts': false,
    });
  });
});
