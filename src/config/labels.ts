// What labels of containers and volumes say about backups. They select and describe: a name, a kind, whether at all. They
// never name a path of this machine, a command or a host, so only what a person could have meant that way is taken.
import { ownLabels } from '../docker/index.ts';
import { didYouMean } from '../near.ts';
import { type Kind, kinds, type Quiesce, quiesceModes } from '../words.ts';

export interface BackupLabels {
  readonly enable?: boolean;
  readonly name?: string;
  readonly kind?: Kind;
  readonly quiesce?: Quiesce;
  /** Containers, by name or compose service, that write to it. */
  readonly clients: readonly string[];
}

const known = ['enable', 'name', 'kind', 'quiesce', 'clients'].map((key) => `pkbackup.${key}`);
const isOfTests = (label: string) => label.startsWith('pkbackup.test');
/** How volumes were marked for the scripts that pkbackup replaces. */
const labelOfScripts = 'com.pcg-cc-mcp.backup';

/** Adds what is wrong to `problems`, one line each. */
export function readLabels(labels: Readonly<Record<string, string>>, problems: string[]): BackupLabels {
  const unknown = Object.keys(labels).filter(
    (label) =>
      label.startsWith('pkbackup.') &&
      !known.includes(label) &&
      !ownLabels.includes(label) &&
      !isOfTests(label),
  );
  problems.push(...unknown.map((label) => `unknown label "${label}"${didYouMean(label, known)}`));
  const say = <T>(key: string, read: (text: string) => T | undefined, expected: string): T | undefined => {
    const text = labels[`pkbackup.${key}`]?.trim();
    if (text === undefined || text === '') return undefined;
    const value = read(text);
    if (value === undefined) problems.push(`label "pkbackup.${key}": expected ${expected}, got "${text}"`);
    return value;
  };
  const enable = say('enable', booleanOf, 'true or false') ?? booleanOf(labels[labelOfScripts] ?? '');
  const name = say('name', (text) => text, '');
  const kind = say('kind', (text) => kinds.find((each) => each === text), `one of ${kinds.join(', ')}`);
  const quiesce = say(
    'quiesce',
    (text) => quiesceModes.find((each) => each === text),
    `one of ${quiesceModes.join(', ')}`,
  );
  const clients = (labels['pkbackup.clients'] ?? '')
    .split(',')
    .map((client) => client.trim())
    .filter(Boolean);
  return {
    clients,
    ...(enable !== undefined && { enable }),
    ...(name !== undefined && { name }),
    ...(kind !== undefined && { kind }),
    ...(quiesce !== undefined && { quiesce }),
  };
}

function booleanOf(text: string): boolean | undefined {
  if (/^(true|yes|1)$/i.test(text)) return true;
  return /^(false|no|0)$/i.test(text) ? false : undefined;
}
