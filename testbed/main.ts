// The test bed's command line: npm run testbed -- up | down | status [names...]
import process from 'node:process';
import type { ImageInfo } from 'dockerode';
import { ensureImages } from './build.ts';
import { missing, TestbedError } from './errors.ts';
import { engineVersion, ensureEngine, stopOwnEngine } from './host/engine.ts';
import { lock } from './host/lock.ts';
import { recipes } from './images/index.ts';
import { hashLabel, listImages, removeAll, removeUnnamed } from './inventory.ts';
import { recipeHash, repository, type ServerRecipe } from './recipe.ts';
import { clearWork } from './state.ts';

const usage =
  'npm run testbed -- up | down | status [names...], for example: npm run testbed -- up postgres chromadb:1';
const all: ServerRecipe[] = Object.values(recipes);

const say = (line: string) => process.stderr.write(`${line}\n`);

const verbs: Record<string, (names: string[]) => Promise<void>> = { up, down, status };

async function up(names: string[]): Promise<void> {
  const chosen = choose(names);
  await using _held = await lock(say);
  await clearWork();
  await ensureEngine(say);
  await ensureImages(chosen, say);
  await removeUnnamed();
  say(`ready: ${chosen.map(({ image }) => image).join(', ')}`);
}

async function down(names: string[]): Promise<void> {
  if (names.length > 0) throw missing('"down" takes no names: it removes all that the test bed made', usage);
  await using _held = await lock(say);
  await clearWork();
  if (await engineVersion()) {
    const { containers, volumes, images } = await removeAll();
    say(`removed ${containers} containers, ${volumes} volumes, ${images} images`);
  }
  if (await stopOwnEngine()) say('stopped the dockerd that the test bed started');
}

async function status(names: string[]): Promise<void> {
  const version = await engineVersion();
  console.log(`engine  ${version ?? 'none answers'}`);
  if (!version) return;
  const images = await listImages();
  for (const recipe of choose(names)) {
    const found = images.find(({ RepoTags }) => RepoTags?.includes(recipe.image));
    console.log(`${recipe.image.padEnd(30)}  ${found ? await describe(found, recipe) : 'missing'}`);
  }
}

async function describe({ Size, Created, Labels }: ImageInfo, recipe: ServerRecipe): Promise<string> {
  const isCurrent = Labels?.[hashLabel] === (await recipeHash(recipe));
  const age = `built ${formatAge(Date.now() - Created * 1000)} ago`;
  return `${String(Math.round(Size / 1e6)).padStart(5)} MB  ${age}${isCurrent ? '' : '  (of an older recipe: run "up")'}`;
}

function formatAge(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 120) return `${minutes} min`;
  return minutes < 2 * 24 * 60 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / (24 * 60))} days`;
}

/** Servers by name: "postgres" means every version, "postgres:17" one. No name means all. */
function choose(names: string[]): ServerRecipe[] {
  const short = ({ image }: ServerRecipe) => image.slice(repository.length + 1);
  const matches = (recipe: ServerRecipe, name: string) =>
    [recipe.image, short(recipe), short(recipe).split(':')[0]].includes(name);
  const unknown = names.find((name) => !all.some((recipe) => matches(recipe, name)));
  if (unknown !== undefined)
    throw missing(`no image is called "${unknown}"`, `there are ${all.map(short).join(', ')}`);
  return names.length === 0 ? all : all.filter((recipe) => names.some((name) => matches(recipe, name)));
}

async function main([verb = '', ...names]: string[]): Promise<void> {
  const run = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
  if (!run) throw missing(verb ? `unknown command "${verb}"` : 'no command given', usage);
  await run(names);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof TestbedError)) throw error;
  say(`error: ${error.message}\nhint: ${error.hint}`);
  process.exitCode = error.exitCode;
}
