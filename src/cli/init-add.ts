// pkbackup init --add: one more store for the config file that is there.
import { readFile, rename, stat, writeFile } from 'node:fs/promises';
import { addStores } from '../config/add-store.ts';
import { parseConfig } from '../config/config-file.ts';
import { findAll } from '../config/find-all.ts';
import type { FoundStore } from '../config/found-stores.ts';
import { PkbackupError } from '../errors.ts';
import { didYouMean } from '../near.ts';
import { type InitFlags, placeOf } from './init.ts';
import type { Session } from './session.ts';

export async function runInitAdd(
  session: Session,
  names: readonly string[],
  flags: InitFlags,
): Promise<number> {
  const settings = await session.settings();
  const place = await placeOf(session, flags);
  if (place.present === undefined || settings.config === undefined) throw noConfigFile();
  const taken = settings.stores.map(({ name }) => name);
  const found = await findAll(await session.docker(), { ...place.scope, signal: session.signal });
  const candidates = [...found.stores, ...found.volumes, ...found.directories];
  const isThere = (store: FoundStore) =>
    settings.stores.some(({ kind, target }) => kind === store.kind && isSame(target, store.target));
  const added = names.map((name) => choose(name, candidates, isThere));
  for (const { name } of added) if (taken.includes(name)) throw nameIsTaken(name);
  const before = await readFile(place.present, 'utf8');
  const text = addStores(before, added, place.directory);
  const { stores } = parseConfig(text, place.present, settings.config.name, settings.environment);
  if (stores.length !== settings.stores.length + added.length) throw new Error('the stores were not added');
  if (!flags.dryRun) await replaceFile(place.present, text);
  const name = settings.config.name;
  session.answer({
    text: () => added.map((store) => `${flags.dryRun ? 'would add' : 'added'} ${store.name} to ${name}`),
    json: () => ({
      file: place.present,
      written: !flags.dryRun,
      added: added.map(({ name, kind, target }) => ({ store: name, kind, target })),
    }),
    isAsked: flags.dryRun === true,
  });
  return 0;
}

/** Whole or not at all: it is the only copy of what somebody wrote. */
async function replaceFile(path: string, text: string): Promise<void> {
  const { mode } = await stat(path);
  const beside = `${path}.new`;
  await writeFile(beside, text, { mode });
  await rename(beside, path);
}

/** By the name it would have, its volume, its container or its path. */
function choose(
  wanted: string,
  candidates: readonly FoundStore[],
  isThere: (store: FoundStore) => boolean,
): FoundStore {
  const namesOf = ({ name, volume, container, path }: FoundStore) => [name, volume, container?.name, path];
  const matching = candidates.filter((store) => namesOf(store).includes(wanted));
  const [store, ...others] = matching.filter((candidate) => !isThere(candidate));
  if (store !== undefined && others.length === 0) return store;
  if (store !== undefined) {
    const list = [store, ...others].map(({ name, origin }) => `"${name}" (${origin})`).join(', ');
    throw new PkbackupError('ambiguous', `"${wanted}" may be one of several: ${list}`, {
      hint: 'name its volume, container or path, or the project with --project',
    });
  }
  if (matching.length > 0) {
    throw new PkbackupError('usage', `"${wanted}" is in the config file already`);
  }
  const names = candidates.flatMap(namesOf).filter((name) => name !== undefined);
  throw new PkbackupError(
    'not_found',
    `nothing was found that is called "${wanted}"${didYouMean(wanted, names)}`,
    {
      hint: 'pkbackup init --dry-run shows what there is',
    },
  );
}

function isSame(a: unknown, b: unknown): boolean {
  const where = (target: unknown) => {
    const { container, volume, path } = Object(target) as Record<string, unknown>;
    return JSON.stringify([container, volume, path]);
  };
  return where(a) === where(b);
}

function nameIsTaken(name: string): PkbackupError {
  return new PkbackupError('ambiguous', `a store called "${name}" is in the config file already`, {
    hint: 'add it by hand under another name',
  });
}

function noConfigFile(): PkbackupError {
  return new PkbackupError('config', 'there is no config file to add to', {
    hint: 'make one with: pkbackup init',
  });
}
