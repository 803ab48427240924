// What tests see of the test bed: the names of its images, and a check that they are there.
import { docker } from './host/engine.ts';
import { recipes } from './images/index.ts';

export type ServerName = keyof typeof recipes;

const names = Object.keys(recipes) as ServerName[];

/** The image of each server, for example `image.chromadb`. */
export const image = Object.fromEntries(names.map((name) => [name, recipes[name].image])) as Record<
  ServerName,
  string
>;

/** Label for volumes and networks that a test makes: `testbed down` removes them if the test did not. */
export const testbedLabels = { 'pkbackup.testbed': '1' };

/** Throws unless all images asked for (by default all there are) exist. Tests call it first; they never skip. */
export async function requireTestbed(...servers: ServerName[]): Promise<void> {
  const wanted = (servers.length > 0 ? servers : names).map((name) => image[name]);
  const absent: string[] = [];
  for (const name of wanted) if (!(await isPresent(name))) absent.push(name);
  if (absent.length === 0) return;
  throw new Error(
    `the test bed lacks ${absent.join(', ')}: run "npm run testbed -- up ${absent.map(shortName).join(' ')}"`,
  );
}

async function isPresent(name: string): Promise<boolean> {
  try {
    await docker.getImage(name).inspect();
    return true;
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode === 404) return false;
    throw new Error('no Docker Engine answers: run "npm run testbed -- up"', { cause: error });
  }
}

function shortName(name: string): string {
  return name.slice(name.indexOf('/') + 1);
}
