// What counts in the end, and who said it: the settings of all commands and of every store, without secrets.
import { dirname } from 'node:path';
import { stringify } from 'yaml';
import { storeOf } from '../stores/index.ts';
import { compressionLevels } from '../words.ts';
import { choosePolicy, policiesOf, ruleVariables } from './choose-policy.ts';
import { type ReadConfig, readConfig } from './config-file.ts';
import { type EnvFile, readEnvFiles } from './env-files.ts';
import { configSchema } from './schema.ts';
import { findConfigFile, loadSettings, type PlaceFlags, type Settings } from './settings.ts';
import type { Environment } from './substitute.ts';
import { nameOf } from './text-files.ts';
import type { ConfiguredStore } from './types.ts';

export interface ShownSetting {
  readonly key: string;
  /** As it would be written in the file; null where nothing is set. */
  readonly value: string | null;
  /** `--backup-dir`, `BACKUP_DIR (.env)`, `pkbackup.yaml:3`, `default` */
  readonly from: string;
}

export interface ShownConfig {
  readonly file: string | undefined;
  readonly settings: readonly ShownSetting[];
  readonly stores: readonly {
    readonly store: string;
    readonly from: string;
    readonly settings: readonly ShownSetting[];
  }[];
}

/** Throws `config` where anything is wrong. */
export async function showConfig(
  flags: PlaceFlags,
  processEnvironment: Environment,
  cwd: string,
): Promise<ShownConfig> {
  const settings = await loadSettings(flags, processEnvironment, cwd);
  const file = await findConfigFile(flags.config, cwd);
  const name = file && nameOf(file.path, cwd);
  const envFiles = await readEnvFiles(file === undefined ? cwd : dirname(file.path), cwd);
  const read = file && readConfig(file.text, file.path, name ?? '', settings.environment);
  const sources: Sources = { settings, read, name: name ?? '', processEnvironment, envFiles };
  return {
    file: name,
    settings: [
      repository(flags, sources),
      retention(sources),
      ...Object.keys(defaults).map((key) => atTop(key, sources)),
    ],
    stores: settings.stores.map((store) => ({
      store: store.name,
      from: store.origin ?? '',
      settings: ofStore(store, sources),
    })),
  };
}

interface Sources {
  readonly settings: Settings;
  readonly read: ReadConfig | undefined;
  readonly name: string;
  readonly processEnvironment: Environment;
  readonly envFiles: readonly EnvFile[];
}

const without = ['repository', 'retention', 'stores'];
/** What is done where nobody says anything; null where that is nothing. */
const known: Readonly<Record<string, (settings: Settings) => unknown>> = {
  compression: () => 'gzip',
  compression_level: ({ compression }) => compressionLevels[compression].usual,
  direct_read: () => true,
  parallel: () => 2,
  consistent: () => false,
  clients_quiesce: () => 'pause',
  clients_longest: () => '30s',
  after_backup: () => 'nothing',
  max_age: () => '25h',
  max_shrink: () => 50,
  max_disk_use: () => 85,
  fail_on_shrink: () => false,
  time_zone: () => Intl.DateTimeFormat().resolvedOptions().timeZone,
};
const defaults = Object.fromEntries(
  Object.keys(configSchema.shape)
    .filter((key) => !without.includes(key))
    .map((key) => [key, known[key] ?? (() => null)]),
);

function repository(flags: PlaceFlags, { settings, read, ...sources }: Sources): ShownSetting {
  const said = read && valueAt(read.yaml.data, ['repository']);
  const value = settings.repository;
  if (flags.backupDir) return { key: 'repository', value, from: '--backup-dir' };
  const variable = placeOf('BACKUP_DIR', sources);
  if (variable !== undefined) return { key: 'repository', value, from: variable };
  const from = read && said !== undefined ? `${sources.name}:${read.yaml.lineOf(['repository'])}` : 'default';
  return { key: 'repository', value, from };
}

/** `BACKUP_DIR (.env)`, where the variable is set and not empty. */
function placeOf(
  variable: string,
  { processEnvironment, envFiles }: Pick<Sources, 'processEnvironment' | 'envFiles'>,
): string | undefined {
  if (processEnvironment[variable]) return `${variable} (environment)`;
  return envFiles.some(({ values }) => values[variable]) ? `${variable} (.env)` : undefined;
}

function retention(sources: Sources): ShownSetting {
  const { settings, read, name } = sources;
  const key = 'retention';
  const { from } = choosePolicy({}, settings.environment, policiesOf(settings.config));
  if (from === 'default') return { key, value: '{ keep_within: 30d }', from };
  if (from !== 'environment') {
    const said = valueAt(read?.yaml.data, [key]);
    return { key, value: text(said, key, sources), from: `${name}:${read?.yaml.lineOf([key])}` };
  }
  const variables = ruleVariables.filter((variable) => settings.environment[variable]);
  const said = Object.fromEntries(
    variables.map((variable) => [variable.toLowerCase(), settings.environment[variable]]),
  );
  const places = variables.map((variable) => placeOf(variable, sources) ?? variable);
  return { key, value: text(said, key, sources), from: places.join(', ') };
}

function atTop(key: string, sources: Sources): ShownSetting {
  const { read, name, settings } = sources;
  const said = valueAt(read?.yaml.data, [key]);
  if (said === undefined)
    return { key, value: text(defaults[key]?.(settings), key, sources), from: 'default' };
  return { key, value: text(said, key, sources), from: `${name}:${read?.yaml.lineOf([key])}` };
}

/** What it says itself, and what it does where it does not say it. */
function ofStore(store: ConfiguredStore, sources: Sources): ShownSetting[] {
  const { read, name } = sources;
  const path = ['stores', store.name];
  const entry = Object(valueAt(read?.yaml.data, path)) as Record<string, unknown>;
  const { quiesce } = storeOf(store.kind);
  const own = Object.entries(entry).map(([key, value]): ShownSetting => {
    const said = text(value, key, sources);
    const shown = key.endsWith('_env')
      ? `${said} (${placeOf(String(value), sources) ? '[redacted]' : 'not set'})`
      : said;
    return { key, value: shown, from: `${name}:${read?.yaml.lineOf([...path, key])}` };
  });
  const usual = {
    quiesce: quiesce.default,
    grace_seconds: quiesce.graceSeconds,
    health_seconds: quiesce.healthSeconds,
  };
  const further = Object.entries(usual).flatMap(([key, value]): ShownSetting[] => {
    if (key in entry || value === undefined) return [];
    return [{ key, value: String(value), from: `default of ${store.kind}` }];
  });
  return [...own, ...further];
}

function valueAt(data: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, step) => Object(value)[step], data);
}

/** As it is written in the file; what is, or holds, a secret of the environment is not shown. */
function text(value: unknown, key: string, { settings }: Sources): string | null {
  if (value === undefined || value === null) return null;
  const isName = /_(env|file)$/.test(key);
  if (!isName && /password|secret|token/i.test(key)) return '[redacted]';
  const shown = stringify(value, {
    collectionStyle: 'flow',
    flowCollectionPadding: true,
    lineWidth: 0,
  }).trimEnd();
  const secrets = Object.entries(settings.environment).flatMap(([name, secret]) => {
    return secret && secret.length > 3 && /PASS|SECRET|TOKEN|API_?KEY/i.test(name) ? [secret] : [];
  });
  return secrets.reduce((shownSoFar, secret) => shownSoFar.replaceAll(secret, '[redacted]'), shown);
}
