// What an image is made of. A recipe is data plus one function that lays out its files; it knows nothing of the engine.
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import type { DebianRoot } from './steps/debian-root.ts';

/** An image that is nothing but a Debian root file system. */
export interface RootRecipe {
  /** The full name with tag, for example `pkbackup-test/debian:trixie`. */
  image: string;
  root: DebianRoot;
}

/** An image with a server, on top of a root. */
export interface ServerRecipe {
  image: string;
  /** `import.meta.filename` of the recipe: its text decides when the image is built anew. */
  source: string;
  /** Folders whose files count as source, too. */
  sourceDirs?: string[];
  base: RootRecipe;
  /** Fills `tree`, which becomes `/` of the image; all of it will belong to root. */
  layOut(tree: string): Promise<void>;
  /** Dockerfile instructions after `FROM base` and `COPY tree /`; RUN has no network. */
  dockerfile: string;
}

export type Recipe = RootRecipe | ServerRecipe;

export const repository = 'pkbackup-test';

const sources = ['images', 'steps'].map((folder) => join(import.meta.dirname, folder, '/'));

/** Changes whenever an image built from this recipe would. */
export async function recipeHash(recipe: Recipe): Promise<string> {
  const hash = createHash('sha256');
  if ('base' in recipe) hash.update(await recipeHash(recipe.base));
  else hash.update(JSON.stringify(recipe.root));
  for (const file of (await sourcesOf(recipe)).sort()) {
    hash.update(`\n${relative(import.meta.dirname, file)}\n`).update(await readFile(file));
  }
  return hash.digest('hex').slice(0, 16);
}

async function sourcesOf(recipe: Recipe): Promise<string[]> {
  if (!('base' in recipe)) return [join(import.meta.dirname, 'steps', 'debian-root.ts')];
  const dirs = await Promise.all((recipe.sourceDirs ?? []).map(filesIn));
  return [...(await importedFrom(recipe.source)), ...dirs.flat()];
}

/** The file and what it imports, at any depth, from the folders that say what goes into an image. */
async function importedFrom(file: string, seen: Set<string> = new Set()): Promise<Set<string>> {
  if (seen.has(file) || !sources.some((folder) => file.startsWith(folder))) return seen;
  seen.add(file);
  const text = await readFile(file, 'utf8');
  for (const [, kind, path] of text.matchAll(/^(import type|import|export)\b[^;]*? from '(\.[^']+)';$/gm)) {
    if (kind !== 'import type' && path) await importedFrom(join(dirname(file), path), seen);
  }
  return seen;
}

async function filesIn(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}
