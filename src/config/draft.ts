// The config file that `init` writes: every store with where it was found, what nobody saves as comments, and no secret.
import { isAbsolute, relative } from 'node:path';
import { stringify } from 'yaml';
import type { FoundStore } from './found-stores.ts';

export interface Draft {
  /** Absolute, of the file; paths below it are written relative to it. */
  readonly directory: string;
  /** As it is to be written. */
  readonly repository: string;
  readonly project: string | undefined;
  readonly stores: readonly FoundStore[];
  /** Written as comments. */
  readonly leftOut: readonly FoundStore[];
  readonly now: Date;
}

export function draftConfig({ directory, repository, project, stores, leftOut, now }: Draft): string {
  const clients = [...new Set(stores.flatMap((store) => store.clients))];
  const of = project === undefined ? '' : `, for the compose project ${project}`;
  return [
    `# Written by "pkbackup init" on ${now.toISOString().slice(0, 10)}${commentText(of)}.`,
    '# Try it with: pkbackup backup --dry-run. Every key is in docs/configuration.md.',
    '',
    '# Where backups are kept. Another disk is better: this one may fail with the data.',
    `repository: ${valueText(repository)}`,
    '',
    '# Which backups "pkbackup prune" keeps; "pkbackup prune --dry-run" shows what that means.',
    'retention: { keep_daily: 7, keep_weekly: 4, keep_monthly: 3 }',
    '# Prune at the end of every backup:',
    '# after_backup: prune',
    '',
    ...(clients.length === 0
      ? []
      : ['# Who writes to the stores, by their labels.', `clients: ${valueText(clients)}`, '']),
    'stores:',
    ...stores.flatMap((store) => entryLines(store, directory).map((line) => `  ${line}`)),
    ...(leftOut.length === 0 ? [] : ['', '  # In no backup; take the "#" away to save it:']),
    ...leftOut.flatMap((store) => [`  # ${entryText(store, directory)} # ${commentText(store.description)}`]),
    '',
  ].join('\n');
}

/** A comment, and the store. */
export function entryLines(store: FoundStore, directory: string): string[] {
  const { description, container, origin } = store;
  const where = container === undefined ? `${origin}, ${description}` : description;
  return [`# ${commentText(where)}`, entryText(store, directory)];
}

/** `uploads: { kind: volume, volume: stack_uploads }` */
function entryText({ name, kind, target, quiesce }: FoundStore, directory: string): string {
  const keys = Object.entries(target as Record<string, unknown>).map(([key, value]) => {
    return [key, key === 'path' && typeof value === 'string' ? shortPath(value, directory) : value];
  });
  const entry = { kind, ...Object.fromEntries(keys), ...(quiesce !== undefined && { quiesce }) };
  return `${valueText(name)}: ${valueText(entry)}`;
}

/** In one line. A dollar sign would begin a variable. */
function valueText(value: unknown): string {
  const escaped = JSON.parse(JSON.stringify(value).replaceAll('$', '$$$$'));
  return stringify(escaped, { collectionStyle: 'flow', flowCollectionPadding: true, lineWidth: 0 }).trimEnd();
}

/** Names of images and paths come from elsewhere: nothing in them may end the comment. */
function commentText(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').trim();
}

function shortPath(path: string, directory: string): string {
  const short = relative(directory, path);
  if (short === '' || short.startsWith('..') || isAbsolute(short)) return path;
  return `./${short.replaceAll('\\', '/')}`;
}
