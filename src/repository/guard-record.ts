// The file that says how far a guard has come. It names containers, images are with their keepers in Docker: who forges such a
// file can have nothing made that was not there. It never holds the command, which may have a secret among its arguments.
import { z } from 'zod';
import { kinds } from '../words.ts';
import { storeNameSchema } from './metadata.ts';
import { ownerSchema } from './restore-record.ts';

/**
 * `keeping` nothing was run yet; `command` it runs, or has ended unseen; `checking` it has ended; `waiting` something is wrong,
 * and a person decides; `undoing` containers and data are put back; `restored` the data is back, and who ran is started;
 * `settled` all is decided, and what the guard has made is removed.
 */
const steps = ['keeping', 'command', 'checking', 'waiting', 'undoing', 'restored', 'settled'] as const;
export type GuardStep = (typeof steps)[number];

export const rollbackModes = ['ask', 'auto', 'never'] as const;
export type RollbackMode = (typeof rollbackModes)[number];

const containerId = z.string().regex(/^[0-9a-f]{64}$/);

const store = z.object({
  store: storeNameSchema,
  kind: z.enum(kinds),
  /** Of the backup that is the way back. */
  stem: z.string(),
  target: z.unknown(),
  graceSeconds: z.number().optional(),
  healthSeconds: z.number().optional(),
  clients: z.array(z.string()).optional(),
  holdDependents: z.boolean().optional(),
});

const container = z.object({
  /** Name of the keeper. */
  keeper: z.string().regex(/^pkbackup-guard-[0-9a-f]{8}-\d+$/),
  id: containerId,
  name: z.string(),
  isUp: z.boolean(),
  /** It serves a store, and does not only use it. */
  isServer: z.boolean(),
  /** Made again by a rollback. */
  made: containerId.optional(),
});

const schema = z.object({
  /** Nothing else that is written into a repository has this. */
  type: z.literal('pkbackup-guard'),
  version: z.literal(1),
  owner: ownerSchema,
  id: z.string().regex(/^[0-9a-f]{8}$/),
  /** Of the command: for people. */
  program: z.string(),
  /** The process of the command, which may outlive the guard. */
  command: ownerSchema.optional(),
  rollback: z.enum(rollbackModes),
  mayShrinkPercent: z.number().min(0).max(100),
  stores: z.array(store).min(1),
  containers: z.array(container),
  step: z.enum(steps),
  /** What is wrong, as sentences. */
  findings: z.array(z.string()),
});

export type GuardRecord = z.infer<typeof schema>;

/** Undefined where it cannot be read. */
export function parseGuardRecord(text: string): GuardRecord | undefined {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
