// The file that says how far a restore has come; operations write it before each step, and read it after a crash.
import { z } from 'zod';
import { kinds } from '../words.ts';
import { storeNameSchema } from './metadata.ts';

/**
 * What was about to be done. Up to `swapping` the restore is undone, from `checked` on it is ended:
 * `staging` writes beside; `swapping` stops, renames and starts; `checked` the restored store has proved itself;
 * `kept` the previous data is in the repository, or was not wanted.
 */
const steps = ['staging', 'swapping', 'checked', 'kept'] as const;
export type RestoreStep = (typeof steps)[number];

const held = z.object({
  id: z.string().regex(/^[0-9a-f]{64}$/),
  name: z.string(),
  startedAt: z.string(),
  wasHealthy: z.boolean().optional(),
  project: z.string().optional(),
  service: z.string().optional(),
  isClient: z.boolean().optional(),
});

export const ownerSchema = z.looseObject({
  host: z.string(),
  pid: z.number(),
  since: z.number(),
  startTime: z.string().optional(),
});

const schema = z.object({
  /** Nothing else that is written into a repository has this. */
  type: z.literal('pkbackup-restore'),
  version: z.literal(1),
  owner: ownerSchema,
  store: storeNameSchema,
  kind: z.enum(kinds),
  /** Of the backup that is restored. */
  stem: z.string(),
  target: z.unknown(),
  graceSeconds: z.number().optional(),
  keepsPrevious: z.boolean(),
  /** Restored with `--to`: nothing of the store itself is touched. */
  beside: z.boolean().optional(),
  /** The set of its safety backup: where there is one of that set already, no second one is made. */
  safetySetId: z.string().optional(),
  /** Restored as one with others: all of them are ended as soon as one has got as far as `checked`, or all are undone. */
  group: z.string().optional(),
  /** The containers that were held for the swap: they are to run again, whatever becomes of it. */
  held: z.array(held),
  step: z.enum(steps),
  state: z.record(z.string(), z.unknown()),
});

export type RestoreRecord = z.infer<typeof schema>;

/** Undefined where it cannot be read: whoever finds it says so, and leaves it alone. */
export function parseRestoreRecord(text: string): RestoreRecord | undefined {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
