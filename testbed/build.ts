// Turns a recipe into an image. An image gets its name when all of it is there: what was interrupted has no name.
import { createReadStream } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TestbedError } from './errors.ts';
import { docker } from './host/engine.ts';
import { lastLines } from './host/run.ts';
import { findImage, hashLabel, label } from './inventory.ts';
import type { Recipe, RootRecipe, ServerRecipe } from './recipe.ts';
import { recipeHash } from './recipe.ts';
import { workDir } from './state.ts';
import { writeDebianRoot } from './steps/debian-root.ts';

/** Builds an image unless the one there is of the same recipe. Bases come first. */
export async function ensureImage(recipe: Recipe, say: (line: string) => void): Promise<void> {
  const hash = await recipeHash(recipe);
  const present = await findImage(recipe.image);
  if (present?.Labels?.[hashLabel] === hash) return;
  if ('base' in recipe) await ensureImage(recipe.base, say);
  say(`building ${recipe.image}`);
  const startMs = Date.now();
  if ('base' in recipe) await buildServer(recipe, hash);
  else await importRoot(recipe, hash);
  say(`built ${recipe.image} in ${Math.round((Date.now() - startMs) / 1000)} s`);
}

async function importRoot({ image, root }: RootRecipe, hash: string): Promise<void> {
  await using work = await workDir(image);
  const tarFile = join(work.path, 'root.tar');
  await writeDebianRoot(root, tarFile);
  const [repo, tag] = image.split(':');
  const changes = [
    `LABEL ${label}=1 ${hashLabel}=${hash}`,
    'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    'CMD ["bash"]',
  ];
  await finish(
    image,
    await docker.importImage(createReadStream(tarFile), { repo, tag, changes: changes.join('\n') }),
  );
}

async function buildServer({ image, base, layOut, dockerfile }: ServerRecipe, hash: string): Promise<void> {
  await using work = await workDir(image);
  const tree = join(work.path, 'tree');
  await mkdir(tree);
  await layOut(tree);
  await writeFile(join(work.path, 'Dockerfile'), `FROM ${base.image}\nCOPY tree /\n${dockerfile}\n`);
  const context = { context: work.path, src: ['Dockerfile', 'tree'] };
  await finish(
    image,
    await docker.buildImage(context, {
      t: image,
      labels: { [label]: '1', [hashLabel]: hash },
      networkmode: 'none',
      rm: true,
      forcerm: true,
    }),
  );
}

interface Progress {
  stream?: string;
  error?: string;
}

/** The engine answers 200 before it works: an error is one of the lines it then sends. */
async function finish(image: string, answer: NodeJS.ReadableStream): Promise<void> {
  let text = '';
  for await (const chunk of answer) text += chunk;
  const lines = text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Progress);
  const error = lines.find((line) => line.error !== undefined)?.error;
  if (error === undefined) return;
  const output = lastLines(lines.map((line) => line.stream ?? '').join(''));
  throw new TestbedError(
    [`"${image}" was not built: ${error}`, ...output].join('\n'),
    'the lines above are the last ones of the build',
  );
}
