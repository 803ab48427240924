// The manifest of a unified run: JSON beside three links. It holds no data; it says which files belong together.
import { lstatSync, readFileSync, readlinkSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { basename, dirname } from 'node:path/posix';
import { messageOf } from '../errors.ts';
import { isRunName } from './names.ts';
import { decodeText } from './text.ts';

export interface RunManifest {
  readonly setId: string;
  /** Directories of its members, below the directory that was looked through. */
  readonly members: readonly string[];
  readonly findings: readonly string[];
}

const links = ['neo4j', 'sqlite', 'chromadb'];
const longestBytes = 1024 * 1024;
/** Longer is no path. */
const longestPointer = 4096;
const goodStatus = /^(success|successful|completed?|ok)$/i;

/** `name` is that of the manifest below `directory`; `isRun` tells which directories of runs there are. */
export function readManifest(directory: string, name: string, isRun: (name: string) => boolean): RunManifest {
  const own = dirname(name);
  const setId = `unified-${basename(own === '.' ? resolve(directory) : own)}`;
  const findings: string[] = [];
  let components: Record<string, unknown> = {};
  try {
    const { status, components: said } = parse(join(directory, name));
    if (typeof status !== 'string' || !goodStatus.test(status)) {
      findings.push(`its status is ${JSON.stringify(status) ?? 'missing'}, expected "success"`);
    }
    components = said;
  } catch (error) {
    findings.push(`it cannot be read: ${messageOf(error)}`);
  }
  const members: string[] = [];
  for (const link of links) {
    const target = linked(directory, own, link) ?? pathOf(components[link]);
    if (target === undefined) {
      if (link in components) findings.push(`it has no link "${link}"`);
    } else if (isRun(target)) members.push(target);
    else findings.push(`its link "${link}" leads to "${target}", which is not here`);
  }
  return { setId, members, findings };
}

function parse(path: string): { status: unknown; components: Record<string, unknown> } {
  if (lstatSync(path).size > longestBytes) throw new Error('it is too long');
  const json: unknown = JSON.parse(decodeText(readFileSync(path)));
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new Error('it is no object');
  const { status, components } = json as { status?: unknown; components?: unknown };
  const isObject = typeof components === 'object' && components !== null;
  return { status, components: isObject ? (components as Record<string, unknown>) : {} };
}

/**
 * Resolved from the directory of the link itself, whatever the directory of whoever reads it. Where a system has no links it
 * is a file with a path in it.
 */
function linked(directory: string, own: string, link: string): string | undefined {
  const path = join(directory, own, link);
  const target = targetOf(path);
  if (target === undefined) return undefined;
  const below = relative(resolve(directory), resolve(join(directory, own), target));
  return below.split(sep).join('/');
}

function targetOf(path: string): string | undefined {
  try {
    const stats = lstatSync(path);
    if (stats.isSymbolicLink()) return readlinkSync(path);
    if (stats.isDirectory()) return path;
    const isPointer = stats.isFile() && stats.size <= longestPointer;
    return isPointer ? decodeText(readFileSync(path)).trim().replaceAll('\\', '/') : undefined;
  } catch {
    return undefined;
  }
}

/** What a component says of its path holds on the machine where it was made: only its last two parts are taken. */
function pathOf(component: unknown): string | undefined {
  if (typeof component !== 'object' || component === null || !('backup_path' in component)) return undefined;
  if (typeof component.backup_path !== 'string') return undefined;
  const [family, run] = component.backup_path.split(/[/\\]/).filter(Boolean).slice(-2);
  return family !== undefined && run !== undefined && isRunName(run) ? `${family}/${run}` : undefined;
}
