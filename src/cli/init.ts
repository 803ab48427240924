// pkbackup init: what there is to back up, what of it is understood, and a config file that says it. Nothing is written
// over; no secret is written.
import { access, rename, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import process from 'node:process';
import { draftConfig } from '../config/draft.ts';
import { environmentOf, readEnvFiles } from '../config/env-files.ts';
import { type Found, findAll } from '../config/find-all.ts';
import type { FoundStore } from '../config/found-stores.ts';
import { configFileNames, defaultRepository } from '../config/settings.ts';
import { PkbackupError } from '../errors.ts';
import { plural } from '../reporters/format.ts';
import { foundJson, foundText } from '../reporters/init-result.ts';
import { scopeOf } from './open-run.ts';
import { askYesNo, refuseToAsk } from './prompt.ts';
import type { Session } from './session.ts';

export interface InitFlags {
  readonly project?: string;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  readonly add?: readonly string[];
}

export async function runInit(session: Session, flags: InitFlags): Promise<number> {
  if (flags.add !== undefined) {
    const { runInitAdd } = await import('./init-add.ts');
    return runInitAdd(session, flags.add, flags);
  }
  const mayAsk = !flags.yes && !flags.dryRun;
  if (mayAsk && !session.canAsk) throw refuseToAsk('init');
  const place = await placeOf(session, flags);
  if (place.present !== undefined && !flags.dryRun && !mayAsk) throw isThere(place.present);
  const found = await findAll(await session.docker(), { ...place.scope, signal: session.signal });
  if (found.stores.length + found.volumes.length === 0) throw nothingFound(found);
  if (!session.flags.json && !session.flags.quiet) session.show((look) => foundText(found, look));
  const chosen = await choose(session, found, mayAsk);
  const stores = [...found.stores, ...chosen];
  const volumes = found.volumes.filter((volume) => !chosen.includes(volume));
  const text = draftConfig({
    directory: place.directory,
    repository: repositoryText(session, place.directory, flags.project),
    project: found.project,
    stores,
    leftOut: [...volumes, ...found.directories],
    now: new Date(),
  });
  if (mayAsk) await confirm(session, place, stores.length);
  if (!flags.dryRun) await write(place, text);
  const done = [
    `wrote ${place.name}: ${plural(stores.length, 'store')}`,
    'now try it: pkbackup backup --dry-run, and then: pkbackup backup',
  ];
  session.answer({
    text: () => (flags.dryRun ? [text.trimEnd()] : done),
    json: () => ({
      file: place.file,
      written: !flags.dryRun,
      ...foundJson({ ...found, stores, volumes }),
      text,
    }),
    isAsked: flags.dryRun === true,
  });
  return 0;
}

interface Place {
  readonly file: string;
  /** As people would name it. */
  readonly name: string;
  readonly directory: string;
  /** A config file that is there already. */
  readonly present: string | undefined;
  readonly scope: Omit<Parameters<typeof findAll>[1], 'signal'>;
}

export async function placeOf(session: Session, flags: Pick<InitFlags, 'project'>): Promise<Place> {
  const cwd = process.cwd();
  const { config, backupDir } = session.flags;
  const [usual = ''] = configFileNames;
  const file = resolve(cwd, config ?? usual);
  const directory = dirname(file);
  const envFiles = await readEnvFiles(directory, cwd);
  const environment = environmentOf(envFiles, process.env);
  const present = await firstThere(
    config === undefined ? configFileNames.map((name) => join(cwd, name)) : [file],
  );
  return {
    file,
    name: relative(cwd, file),
    directory,
    present,
    scope: {
      ...scopeOf(flags, { environment, directory }),
      variables: environmentOf(envFiles, {}),
      leftOut: [resolve(cwd, backupDir ?? join(directory, defaultRepository))],
    },
  };
}

async function firstThere(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return undefined;
}

function isThere(path: string): PkbackupError {
  return new PkbackupError('usage', `${basename(path)} is there already, and is not written over`, {
    hint: 'add to it with --add NAME, move it away, or write another one with --config FILE; --dry-run only shows what would be written',
  });
}

function nothingFound({ notUnderstood }: Found): PkbackupError {
  const wrong = notUnderstood.map(({ what, why }) => `\n${what}: ${why}`).join('');
  return new PkbackupError('not_found', `no container or volume was found that could be a store${wrong}`, {
    hint: 'start the stack, name its project with --project, or write pkbackup.yaml by hand (docs/configuration.md)',
  });
}

/** Volumes that nobody recognised: each is asked for, and taken where nobody is asked. */
async function choose(session: Session, { volumes }: Found, mayAsk: boolean): Promise<FoundStore[]> {
  if (!mayAsk) return [...volumes];
  const chosen: FoundStore[] = [];
  for (const volume of volumes) {
    const question = `Back up ${volume.origin} (${volume.description}) as "${volume.name}"? [Y/n] `;
    if (await askYesNo(question, session.signal, true)) chosen.push(volume);
  }
  return chosen;
}

async function confirm(session: Session, { present, name }: Place, count: number): Promise<void> {
  const question =
    present === undefined
      ? `Write ${name} with ${plural(count, 'store')}? [Y/n] `
      : `${basename(present)} is there already. Keep it as ${basename(present)}.old, and write ${name} with ${plural(count, 'store')}? [y/N] `;
  if (await askYesNo(question, session.signal, present === undefined)) return;
  throw new PkbackupError('cancelled', 'cancelled; nothing was written');
}

async function write({ file, present }: Place, text: string): Promise<void> {
  if (present !== undefined) await rename(present, `${present}.old`);
  await writeFile(file, text, { flag: 'wx' });
}

/** Instances of one stack must not share a repository: each named project has a directory of its own. */
function repositoryText({ flags }: Session, directory: string, project: string | undefined): string {
  if (flags.backupDir === undefined) {
    return project === undefined ? `./${defaultRepository}` : `./${defaultRepository}/${project}`;
  }
  const path = relative(directory, resolve(process.cwd(), flags.backupDir)).replaceAll('\\', '/');
  return path.startsWith('..') ? resolve(process.cwd(), flags.backupDir) : `./${path}`;
}
