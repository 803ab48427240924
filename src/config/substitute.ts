// `${NAME}` and `${NAME:-default}` in values of the config file, as compose has them; `$$` is a dollar sign.

export type Environment = Readonly<Record<string, string | undefined>>;

const placeholder = /\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?)-([^}]*))?\})/g;

/** `unset` names the variables that have neither a value nor a default. */
export function substitute(text: string, environment: Environment): { value: string; unset: string[] } {
  const unset: string[] = [];
  const value = text.replace(placeholder, (all, name?: string, colon?: string, fallback?: string) => {
    if (name === undefined) return '$';
    const found = environment[name];
    const isMissing = found === undefined || (colon === ':' && found === '');
    if (!isMissing) return found;
    if (fallback === undefined) unset.push(name);
    return fallback ?? all;
  });
  return { value, unset };
}
