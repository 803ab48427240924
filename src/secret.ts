// A value that must never be shown: passwords and tokens named by `*_env` and `*_file` settings.
// It knows no layer of the program.
import { readFile } from 'node:fs/promises';
import { inspect } from 'node:util';
import { messageOf, PkbackupError } from './errors.ts';
import { kinds } from './words.ts';

const redacted = '[redacted]';

/** Prints as `[redacted]` wherever it is printed; `reveal` is the only way to the value. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
    hideFromTexts(value);
  }

  reveal(): string {
    return this.#value;
  }

  /** As a part of a longer one: `Bearer ...`. */
  prefixed(text: string): Secret {
    return new Secret(`${text}${this.#value.trim()}`);
  }

  toString(): string {
    return redacted;
  }

  toJSON(): string {
    return redacted;
  }

  [inspect.custom](): string {
    return redacted;
  }
}

/** Every secret that this process has read, and the other forms in which it may turn up in a text. */
const hidden = new Set<string>();
/** Less than that, and ordinary words, would be cut out of texts that have nothing to do with it, and so be told. */
const leastHidden = 6;
const words: readonly string[] = [...kinds, 'password', 'secret'];

/** From now on `redactSecrets` cuts it out: for parts of secrets, such as the token in a URL. */
export function hideFromTexts(text: string): void {
  const value = text.trim();
  if (value.length < leastHidden || words.includes(value.toLowerCase())) return;
  hidden.add(value);
  hidden.add(encodeURIComponent(value.toWellFormed()));
  hidden.add(JSON.stringify(value).slice(1, -1));
}

/** For texts that come from elsewhere: what a server answers, or a program prints, may hold what it was given. */
export function redactSecrets(text: string): string {
  if (hidden.size === 0) return text;
  // The longest first: one secret may be a part of another.
  const longestFirst = [...hidden].sort((a, b) => b.length - a.length);
  return longestFirst.reduce((rest, value) => rest.replaceAll(value, redacted), text);
}

/** The variables without those that hold a secret: for programs that have no need of it. */
export function withoutSecrets(
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const entries = Object.entries(environment);
  return Object.fromEntries(
    entries.filter(
      (entry): entry is [string, string] => entry[1] !== undefined && !hidden.has(entry[1].trim()),
    ),
  );
}

export interface SecretPlace {
  /** Name of the environment variable that holds the value (`password_env`). */
  readonly env?: string | undefined;
  /** Path of the file that holds it (`password_file`); one trailing line end is not part of it. */
  readonly file?: string | undefined;
}

/** Reads a secret from where the configuration says; undefined where it says nothing. Throws `config` where it is not there. */
export async function readSecret(
  place: SecretPlace,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Secret | undefined> {
  if (place.file !== undefined) return new Secret(await readSecretFile(place.file));
  if (place.env === undefined) return undefined;
  const value = environment[place.env];
  if (value === undefined) {
    throw new PkbackupError('config', `the environment variable "${place.env}" is not set`, {
      hint: `set ${place.env}, or put it into the .env file beside pkbackup.yaml`,
    });
  }
  return new Secret(value);
}

async function readSecretFile(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).replace(/\r?\n$/, '');
  } catch (error) {
    throw new PkbackupError('config', `cannot read the secret file "${path}": ${messageOf(error)}`, {
      cause: error,
    });
  }
}
