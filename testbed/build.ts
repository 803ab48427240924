// Turns a recipe into an image. An image gets its name when all of it is there: what was interrupted has no name.
import { createReadStream } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TestbedError } from './errors.ts';
import { allEnded } from './host/all-ended.ts';
import { docker } from './host/engine.ts';
import { oneAtATime } from './host/one-at-a-time.ts';
import { lastLines } from './host/run.ts';
import { findImage, hashLabel, label } from './inventory.ts';
import type { Recipe, RootRecipe, ServerRecipe } from './recipe.ts';
import { recipeHash } from './recipe.ts';
import { workDir } from './state.ts';
import { writeDebianRoot } from './steps/debian-root.ts';

type Say = (line: string) => void;

/** Builds each image unless the one there is of the same recipe; side by side, for most of it is waiting for downloads. */
export async function ensureImages(recipes: readonly ServerRecipe[], say: Say): Promise<void> {
  const bases = new Map<string, Promise<void>>();
  const ensureBase = (base: RootRecipe) => {
    const ensured =
      bases.get(base.image) ??
      ensure(base, (hash) => rootsInTurn(() => timed(base, say, () => importRoot(base, hash))));
    bases.set(base.image, ensured);
    return ensured;
  };
  await allEnded(
    recipes.map((recipe) =>
      ensure(recipe, (hash) => timed(recipe, say, () => buildServer(recipe, hash, ensureBase))),
    ),
  );
}

async function ensure(recipe: Recipe, build: (hash: string) => Promise<void>): Promise<void> {
  const hash = await recipeHash(recipe);
  const present = await findImage(recipe.image);
  if (present?.Labels?.[hashLabel] !== hash) await build(hash);
}

async function timed({ image }: Recipe, say: Say, build: () => Promise<void>): Promise<void> {
  say(`building ${image}`);
  const startMs = Date.now();
  await build().catch((error: unknown) => {
    // The caller tells one of them in full.
    say(`failed: ${image}: ${error instanceof Error ? error.message.split('\n')[0] : error}`);
    throw error;
  });
  say(`built ${image} in ${Math.round((Date.now() - startMs) / 1000)} s`);
}

/** Each takes packages from the store of downloads and puts others there. */
const rootsInTurn = oneAtATime();

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

async function buildServer(
  { image, base, layOut, dockerfile }: ServerRecipe,
  hash: string,
  ensureBase: (base: RootRecipe) => Promise<void>,
): Promise<void> {
  await using work = await workDir(image);
  const tree = join(work.path, 'tree');
  await mkdir(tree);
  await allEnded([layOut(tree), ensureBase(base)]);
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
