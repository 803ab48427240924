import { chmod, copyFile, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Copies a file of the host into the tree, readable by all and, where asked for, executable. */
export async function place(
  tree: string,
  path: string,
  from: string,
  mode: 0o644 | 0o755 = 0o644,
): Promise<void> {
  const target = await pathIn(tree, path);
  await copyFile(from, target);
  await chmod(target, mode);
}

export async function write(
  tree: string,
  path: string,
  text: string,
  mode: 0o644 | 0o755 = 0o644,
): Promise<void> {
  const target = await pathIn(tree, path);
  await writeFile(target, text);
  await chmod(target, mode);
}

async function pathIn(tree: string, path: string): Promise<string> {
  const target = join(tree, path);
  await mkdir(dirname(target), { recursive: true });
  return target;
}
