// The file that says that a drill has begun to make things in Docker; gone when they are gone.
import { z } from 'zod';
import { ownerSchema } from './restore-record.ts';

const schema = z.object({
  /** Nothing else that is written into a repository has this. */
  type: z.literal('pkbackup-drill'),
  version: z.literal(1),
  owner: ownerSchema,
  /** Of the backup. */
  stem: z.string(),
  /** By which what was made is found. */
  id: z.string().regex(/^[0-9a-f]{8}$/),
});

export type DrillRecord = z.infer<typeof schema>;

/** Undefined where it cannot be read. */
export function parseDrillRecord(text: string): DrillRecord | undefined {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
