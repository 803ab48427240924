// The configuration layer: where settings come from and which one counts (flag, environment, config file, default), and
// which stores there are. It knows the schemas of the stores and how to ask Docker for candidates; it starts no work.
import { dirname, join, resolve } from 'node:path';
import { PkbackupError } from '../errors.ts';
import type { Compression } from '../words.ts';
import { type EnvFile, environmentOf, readEnvFiles } from './env-files.ts';
import { type ConfigText, type KnownConfig, recallConfig, rememberConfig } from './known-config.ts';
import { absolutePath } from './paths.ts';
import type { Environment } from './substitute.ts';
import { nameOf, readIfThere } from './text-files.ts';
import type { Config, ConfiguredStore } from './types.ts';

export const configFileNames = ['pkbackup.yaml', 'pkbackup.yml'];
export const defaultRepository = 'backups';

/** What the command line says about where things are. */
export interface PlaceFlags {
  readonly config?: string;
  readonly backupDir?: string;
}

export interface Settings {
  /** The config file, if there is one. */
  readonly config: Config | undefined;
  /** Of the config file; the current one where there is none. */
  readonly directory: string;
  /** Absolute path of the repository. */
  readonly repository: string;
  readonly compression: Compression;
  readonly compressionLevel?: number;
  readonly stores: readonly ConfiguredStore[];
  /** The process's own variables, over those of the `.env` file beside the config file. */
  readonly environment: Environment;
}

/** Reads the `.env` file and the config file. Throws `config` (or `usage` for a flag). */
export async function loadSettings(
  flags: PlaceFlags,
  processEnvironment: Environment,
  cwd: string,
): Promise<Settings> {
  const { file, environment, ...places } = await findFiles(flags, processEnvironment, cwd);
  const config = file && (await parsed(file, nameOf(file.path, cwd), environment));
  const level = config?.compressionLevel;
  return {
    config,
    directory: places.directory,
    repository: repositoryOf(flags, places, config),
    compression: config?.compression ?? 'gzip',
    ...(level !== undefined && { compressionLevel: level }),
    stores: config?.stores ?? [],
    environment,
  };
}

/** What `list` needs of the settings. */
export interface Place {
  readonly repository: string;
  readonly stores: KnownConfig['stores'];
  readonly environment: Environment;
}

/** Throws as `loadSettings` does; a config file that was right when it was last read is not checked again. */
export async function loadPlace(
  flags: PlaceFlags,
  processEnvironment: Environment,
  cwd: string,
): Promise<Place> {
  const { file, environment, ...places } = await findFiles(flags, processEnvironment, cwd);
  const config =
    file && (recallConfig(file) ?? (await checkedNow(file, nameOf(file.path, cwd), environment)));
  return { repository: repositoryOf(flags, places, config), stores: config?.stores ?? [], environment };
}

async function checkedNow(file: ConfigText, name: string, environment: Environment): Promise<KnownConfig> {
  const config = await parsed(file, name, environment);
  rememberConfig(file, config);
  return config;
}

async function findFiles(flags: PlaceFlags, processEnvironment: Environment, cwd: string) {
  const file = await findConfigFile(flags.config, cwd);
  const directory = file === undefined ? cwd : dirname(file.path);
  const envFiles = await readEnvFiles(directory, cwd);
  const environment = environmentOf(envFiles, processEnvironment);
  return { file, environment, directory, envFiles, processEnvironment, cwd };
}

/** What reads YAML and checks it is loaded where there is a file. */
async function parsed(file: ConfigText, name: string, environment: Environment): Promise<Config> {
  const { parseConfig } = await import('./config-file.ts');
  return parseConfig(file.text, file.path, name, environment);
}

interface Places {
  envFiles: readonly EnvFile[];
  processEnvironment: Environment;
  directory: string;
  cwd: string;
}

/** A relative path belongs to the place that says it: the flag and the shell to the current directory, files to their own. */
function repositoryOf(flags: PlaceFlags, places: Places, config: KnownConfig | undefined): string {
  if (flags.backupDir) return resolve(places.cwd, flags.backupDir);
  if (places.processEnvironment.BACKUP_DIR) return resolve(places.cwd, places.processEnvironment.BACKUP_DIR);
  for (const { values, directory } of places.envFiles)
    if (values.BACKUP_DIR) return absolutePath(values.BACKUP_DIR, directory);
  return config?.repository ?? join(places.directory, defaultRepository);
}

/** Throws `config` where the one that is named is not there, or two are. */
export async function findConfigFile(flag: string | undefined, cwd: string): Promise<ConfigText | undefined> {
  if (flag !== undefined) {
    const path = resolve(cwd, flag);
    const text = await readIfThere(path, cwd);
    if (text === undefined) throw new PkbackupError('config', `no such config file: "${flag}"`);
    return { path, text };
  }
  const found: ConfigText[] = [];
  for (const name of configFileNames) {
    const path = join(cwd, name);
    const text = await readIfThere(path, cwd);
    if (text !== undefined) found.push({ path, text });
  }
  if (found.length > 1) {
    throw new PkbackupError('config', `both ${configFileNames.join(' and ')} are here`, {
      hint: 'remove one, or name the right one with --config',
    });
  }
  return found[0];
}
