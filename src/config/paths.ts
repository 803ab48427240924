// Paths as people write them in the config file: relative to its directory, `~/` for the home directory.
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

export function absolutePath(path: string, directory: string): string {
  return /^~[/\\]/.test(path) ? join(homedir(), path.slice(2)) : resolve(directory, path);
}

/**
 * In the keys of every kind, `path` `home` and keys that end in `_file` are paths of this host; any other key
 * (`data_path` ...) means something inside a container and stays as it is.
 */
export function absolutePaths(keys: Record<string, unknown>, directory: string): Record<string, unknown> {
  const entries = Object.entries(keys).map(([key, value]) => {
    const isHostPath =
      (key === 'path' || key === 'home' || key.endsWith('_file')) &&
      typeof value === 'string' &&
      value !== '';
    return [key, isHostPath ? absolutePath(value, directory) : value];
  });
  return Object.fromEntries(entries);
}
