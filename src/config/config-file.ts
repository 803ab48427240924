// pkbackup.yaml: read, checked against the schema of each part, every mistake as `file:line: key: what is wrong`.
import { dirname } from 'node:path';
import { PkbackupError } from '../errors.ts';
import { hideFromTexts } from '../secret.ts';
import { compressionLevels, compressions } from '../words.ts';
import { commandLine, hooksOf } from './commands.ts';
import { durationMs } from './duration.ts';
import { expectationsOf } from './expectations.ts';
import { checked, type Issue } from './issues.ts';
import { targetsOf } from './notify.ts';
import { absolutePath } from './paths.ts';
import { configSchema } from './schema.ts';
import { readStoreEntry } from './store-entry.ts';
import type { Environment } from './substitute.ts';
import type { Config, ConfiguredStore } from './types.ts';
import { type Mistake, parseYaml, type YamlFile } from './yaml-file.ts';

export interface ReadConfig {
  /** Undefined where there is any mistake. */
  readonly config: Config | undefined;
  readonly yaml: YamlFile;
  /** By their lines. */
  readonly mistakes: readonly Mistake[];
}

/** `file` is the absolute path, `name` what people call it. Throws `config` with one line per mistake. */
export function parseConfig(text: string, file: string, name: string, environment: Environment): Config {
  const { config, yaml, mistakes } = readConfig(text, file, name, environment);
  if (config !== undefined) return config;
  const lines = mistakes.map((mistake) => mistakeText(name, mistake));
  throw new PkbackupError('config', lines.join('\n'), { hint: hintFor(yaml, mistakes) });
}

/** Every mistake at once, also those behind the first. */
export function readConfig(text: string, file: string, name: string, environment: Environment): ReadConfig {
  const yaml = parseYaml(text, environment);
  if (yaml.syntaxErrors.length > 0) return { config: undefined, yaml, mistakes: yaml.syntaxErrors };
  const directory = dirname(file);
  const issues: Issue[] = [];
  hideSecretsOf(yaml.data, environment);
  const top = checked(configSchema, yaml.data, [], issues);
  const stores = Object.entries(storesIn(yaml.data)).flatMap(([store, entry]) => {
    const read = readStoreEntry(store, entry, directory, issues);
    return read === undefined ? [] : { ...read, origin: `${name}:${yaml.lineOf(['stores', store])}` };
  });
  issues.push(...namesThatCollide(stores.map((store) => store.name)));
  if (top) issues.push(...holdAndRelease(top));
  issues.push(...wrongLevels(stores, yaml.data));
  const mistakes = mistakesOf(yaml, issues);
  if (mistakes.length > 0 || top === undefined) return { config: undefined, yaml, mistakes };
  const expects = expectationsOf(top);
  const config: Config = {
    name,
    path: file,
    stores,
    ...(top.repository !== undefined && { repository: absolutePath(top.repository, directory) }),
    ...(top.retention !== undefined && { retention: top.retention }),
    ...(top.compression !== undefined && { compression: top.compression }),
    ...(top.compression_level !== undefined && { compressionLevel: top.compression_level }),
    ...(top.compression_threads !== undefined && { compressionThreads: top.compression_threads }),
    ...(top.direct_read !== undefined && { directRead: top.direct_read }),
    ...(top.parallel !== undefined && { parallel: top.parallel }),
    ...(top.clients !== undefined && { clients: top.clients }),
    ...(top.clients_quiesce !== undefined && { clientsQuiesce: top.clients_quiesce }),
    ...(top.clients_longest !== undefined && { clientsLongestMs: durationMs(top.clients_longest) }),
    ...(top.consistent !== undefined && { consistent: top.consistent }),
    ...(top.clients_hold !== undefined && {
      clientsHold: commandLine(top.clients_hold, directory, clientsDeadlineMs),
    }),
    ...(top.clients_release !== undefined && {
      clientsRelease: commandLine(top.clients_release, directory, clientsDeadlineMs),
    }),
    ...(top.hooks !== undefined && { hooks: hooksOf(top.hooks, directory) }),
    ...(top.notify !== undefined && { notify: targetsOf(top.notify, directory) }),
    ...(top.metrics_file !== undefined && { metricsFile: absolutePath(top.metrics_file, directory) }),
    ...(top.ignore_volumes !== undefined && { ignoreVolumes: top.ignore_volumes }),
    ...(top.schedule !== undefined && { schedule: top.schedule }),
    ...(top.time_zone !== undefined && { timeZone: top.time_zone }),
    ...(expects !== undefined && { expects }),
    ...(top.max_disk_use !== undefined && { maxDiskUse: top.max_disk_use }),
    ...(top.fail_on_shrink !== undefined && { failOnShrink: top.fail_on_shrink }),
    ...(top.after_backup !== undefined && { afterBackup: top.after_backup }),
  };
  return { config, yaml, mistakes };
}

/** For a program that holds clients or lets them go. */
const clientsDeadlineMs = 30_000;

/** Whoever is held must be let go by somebody. */
function holdAndRelease(top: { clients_hold?: unknown; clients_release?: unknown }): Issue[] {
  if ((top.clients_hold === undefined) === (top.clients_release === undefined)) return [];
  const [there, missing] =
    top.clients_hold === undefined
      ? ['clients_release', 'clients_hold']
      : ['clients_hold', 'clients_release'];
  return [{ path: [there], message: `needs ${missing} beside it` }];
}

/** Also of parts that this run may not use: no program that it starts has a need of them. */
function hideSecretsOf(data: unknown, environment: Environment): void {
  if (typeof data !== 'object' || data === null) return;
  for (const [key, value] of Object.entries(data)) {
    if (typeof value === 'object') hideSecretsOf(value, environment);
    else if (key.endsWith('_env') && typeof value === 'string') hideFromTexts(environment[value] ?? '');
  }
}

/** The stores are checked one by one, also when something else in the file is wrong: all mistakes are shown at once. */
function storesIn(data: unknown): Record<string, unknown> {
  if (typeof data !== 'object' || data === null || !('stores' in data)) return {};
  const { stores } = data;
  return typeof stores === 'object' && stores !== null && !Array.isArray(stores) ? { ...stores } : {};
}

/** Two names that differ by case only are one file name on Windows and macOS. */
function namesThatCollide(names: readonly string[]): Issue[] {
  const seen = new Map<string, string>();
  return names.flatMap((name) => {
    const other = seen.get(name.toLowerCase());
    seen.set(name.toLowerCase(), name);
    if (other === undefined) return [];
    return [{ path: ['stores', name], message: `differs from "${other}" by case only` }];
  });
}

type Levels = Pick<ConfiguredStore, 'compression' | 'compressionLevel'>;

/** What a level may be depends on the compression that it is said for. */
function wrongLevels(stores: readonly ConfiguredStore[], data: unknown): Issue[] {
  // As they are written: something else at the top may be wrong.
  const { compression: said, compression_level: level } = Object(data) as Record<string, unknown>;
  const common = compressions.find((each) => each === said) ?? 'gzip';
  const top: Levels = typeof level === 'number' ? { compressionLevel: level } : {};
  const places: (Levels & { path: string[] })[] = [
    { path: ['compression_level'], ...top },
    ...stores.map((store) => ({ path: ['stores', store.name, 'compression_level'], ...store })),
  ];
  return places.flatMap(({ path, compression = common, compressionLevel }) => {
    const { least, most } = compressionLevels[compression];
    if (compressionLevel === undefined || (compressionLevel >= least && compressionLevel <= most)) return [];
    return [{ path, message: `expected ${least} to ${most} for ${compression}, got ${compressionLevel}` }];
  });
}

/** A variable that is not set is the mistake, and not what its place holds instead. */
function mistakesOf(yaml: YamlFile, issues: readonly Issue[]): Mistake[] {
  const unset = new Set(yaml.unset.map(({ key }) => key));
  const others = issues.map(({ path, message }) => ({
    line: yaml.lineOf(path),
    key: path.join('.'),
    message,
  }));
  return [...yaml.unset, ...others.filter(({ key }) => !unset.has(key))].sort((a, b) => a.line - b.line);
}

/** `pkbackup.yaml:7: stores.events.path: missing (expected a text)` */
export function mistakeText(file: string, { line, key, message }: Mistake): string {
  return `${file}:${line}: ${key === '' ? '' : `${key}: `}${message}`;
}

function hintFor({ syntaxErrors, unset }: YamlFile, mistakes: readonly Mistake[]): string {
  if (syntaxErrors.length > 0) return 'check the indentation and the quotes there';
  if (unset.length < mistakes.length) return 'docs/configuration.md describes every key';
  return 'set it, put it into the .env file beside this file, or give it a default (NAME:-default in the braces)';
}
