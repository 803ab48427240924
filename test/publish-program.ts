// Builds the program once for all test files, laid out as it is published: what V8 has compiled of it is found by its path.
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { buildInto } from '../scripts/build.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Path of the published program. */
    readonly shim: string;
  }
}

export default async function publishProgram(project: TestProject): Promise<() => void> {
  const directory = mkdtempSync(join(tmpdir(), 'pkbackup-published-'));
  for (const part of ['bin', 'package.json'])
    cpSync(join(dirname(import.meta.dirname), part), join(directory, part), { recursive: true });
  const remove = () => rmSync(directory, { recursive: true, force: true });
  const build = async () => void (await buildInto(join(directory, 'dist')));
  await build().catch((error) => {
    remove();
    throw error;
  });
  // What is wrong in the sources esbuild has said; the next change of them is built again.
  project.onTestsRerun(() => build().catch(() => undefined));
  project.provide('shim', join(directory, 'bin', 'pkbackup.js'));
  return remove;
}
