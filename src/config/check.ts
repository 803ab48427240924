// Everything that is wrong with the configuration, without doing anything by it: the file, the variables, and the secrets and
// paths that it names.
import { access } from 'node:fs/promises';
import { dirname } from 'node:path';
import process from 'node:process';
import { messageOf, PkbackupError } from '../errors.ts';
import { readSecret } from '../secret.ts';
import { choosePolicy, policiesOf } from './choose-policy.ts';
import { mistakeText, type ReadConfig, readConfig } from './config-file.ts';
import { environmentOf, readEnvFiles } from './env-files.ts';
import { absolutePath } from './paths.ts';
import { findConfigFile, type PlaceFlags } from './settings.ts';
import type { Environment } from './substitute.ts';
import { nameOf } from './text-files.ts';
import type { Mistake } from './yaml-file.ts';

export interface CheckedConfig {
  /** As people would name it. */
  readonly file: string;
  readonly storeCount: number;
  readonly mistakes: readonly CheckedMistake[];
  /** What may be right, and is most likely not. */
  readonly warnings: readonly CheckedMistake[];
}

export interface CheckedMistake {
  /** In the file, where it is there. */
  readonly line?: number;
  readonly key: string;
  readonly message: string;
  /** `pkbackup.yaml:3: ...` */
  readonly text: string;
}

/** Throws `config` where there is no file. */
export async function checkConfig(
  flags: PlaceFlags,
  processEnvironment: Environment,
  cwd = process.cwd(),
): Promise<CheckedConfig> {
  const file = await findConfigFile(flags.config, cwd);
  if (file === undefined) {
    throw new PkbackupError('config', 'there is no config file here', {
      hint: 'make one with: pkbackup init',
    });
  }
  const directory = dirname(file.path);
  const environment = environmentOf(await readEnvFiles(directory, cwd), processEnvironment);
  const name = nameOf(file.path, cwd);
  const read = readConfig(file.text, file.path, name, environment);
  const at = (mistake: Mistake): CheckedMistake => ({ ...mistake, text: mistakeText(name, mistake) });
  const named = await namedThings(read, directory, environment);
  const mistakes = [...read.mistakes, ...named.mistakes].sort((a, b) => a.line - b.line);
  return {
    file: name,
    storeCount: read.config?.stores.length ?? 0,
    mistakes: [...mistakes.map(at), ...wrongVariables(read, environment)],
    warnings: named.warnings.map(at),
  };
}

interface Named {
  readonly mistakes: Mistake[];
  readonly warnings: Mistake[];
}

/** Secrets that are not there fail the next backup; paths may come into being with a restore. */
async function namedThings(
  { yaml }: ReadConfig,
  directory: string,
  environment: Environment,
): Promise<Named> {
  const named: Named = { mistakes: [], warnings: [] };
  const unset = new Set(yaml.unset.map(({ key }) => key));
  for (const { path, key, text } of textsIn(yaml.data, [])) {
    const place = { line: yaml.lineOf(path), key: path.join('.') };
    if (unset.has(place.key)) continue;
    const isVariable = key.endsWith('_env') || path.at(-2)?.endsWith('_env');
    if (isVariable || key.endsWith('_file')) {
      const secret = isVariable ? { env: text } : { file: absolutePath(text, directory) };
      await readSecret(secret, environment).catch((error: unknown) => {
        named.mistakes.push({ ...place, message: messageOf(error) });
      });
    } else if (key === 'path' && path[0] === 'stores') {
      const full = absolutePath(text, directory);
      await access(full).catch(() => named.warnings.push({ ...place, message: `"${full}" is not there` }));
    }
  }
  return named;
}

interface TextAt {
  readonly path: readonly string[];
  readonly key: string;
  readonly text: string;
}

function textsIn(data: unknown, path: readonly string[]): TextAt[] {
  if (typeof data === 'string') return [{ path, key: path.at(-1) ?? '', text: data }];
  if (typeof data !== 'object' || data === null) return [];
  return Object.entries(data).flatMap(([key, value]) => textsIn(value, [...path, key]));
}

/** Of the replaced scripts. */
function wrongVariables({ config }: ReadConfig, environment: Environment): CheckedMistake[] {
  try {
    choosePolicy({}, environment, policiesOf(config));
    return [];
  } catch (error) {
    const [, key = '', message = ''] = /^([A-Z_]+): (.*)$/s.exec(messageOf(error)) ?? [];
    return [{ key, message, text: `environment: ${messageOf(error)}` }];
  }
}
