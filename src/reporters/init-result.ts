// What `pkbackup init` has found, for people and for programs. Pure functions.
import { alignColumns, oneLine, plural } from './format.ts';
import type { TextLook } from './text-look.ts';

export interface InitFound {
  readonly project: string | undefined;
  readonly stores: readonly InitStore[];
  readonly volumes: readonly InitStore[];
  readonly directories: readonly InitStore[];
  readonly notUnderstood: readonly { readonly what: string; readonly why: string }[];
  readonly labelledOut: readonly string[];
}

interface InitStore {
  readonly name: string;
  readonly kind: string;
  readonly target: unknown;
  readonly origin: string;
  readonly description: string;
}

export function foundText(found: InitFound, { paint }: TextLook): string[] {
  const where =
    found.project === undefined ? 'in Docker' : `in the compose project ${oneLine(found.project)}`;
  return [
    `found ${where}: ${plural(found.stores.length, 'store')}`,
    ...rowsOf(found.stores),
    ...section(
      'not understood:',
      found.notUnderstood.map(({ what, why }) => `${what}: ${why}`),
      (text) => paint('warning', text),
    ),
    ...section('left out by a label:', found.labelledOut),
    ...(found.volumes.length + found.directories.length === 0
      ? []
      : ['', paint('warning', 'in no backup yet:'), ...rowsOf([...found.volumes, ...found.directories])]),
    '',
  ];
}

function rowsOf(stores: readonly InitStore[]): string[] {
  return alignColumns(
    stores.map(({ name, kind, origin, description }) => [
      `  ${name}`,
      kind,
      oneLine(origin),
      oneLine(description),
    ]),
  );
}

function section(title: string, lines: readonly string[], painted = (text: string) => text): string[] {
  return lines.length === 0 ? [] : ['', painted(title), ...lines.map((line) => `  ${oneLine(line)}`)];
}

export function foundJson(found: InitFound): Record<string, unknown> {
  const storeJson = ({ name, kind, target, origin, description }: InitStore) => {
    return { store: name, kind, target, origin, description };
  };
  return {
    project: found.project ?? null,
    stores: found.stores.map(storeJson),
    in_no_backup: [...found.volumes, ...found.directories].map(storeJson),
    not_understood: found.notUnderstood,
    left_out: found.labelledOut,
  };
}
