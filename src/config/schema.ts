// The schema of pkbackup.yaml, but for the keys of `stores.<name>` that belong to its kind: those are the store's own.
import { z } from 'zod';
import { stores } from '../stores/index.ts';
import { compressions, quiesceModes } from '../words.ts';
import { commandSchema, hooksSchema } from './commands.ts';
import { durationPattern } from './duration.ts';
import { expectationShape, maxDiskUseSchema, storeExpectationShape } from './expectations.ts';
import { notifySchema } from './notify.ts';
import { retentionSchema } from './retention.ts';
import { scheduleSchema, storeScheduleSchema, timeZoneSchema } from './schedule.ts';

const text = z.string().min(1);
/** What a backup does when it has ended. */
export const afterBackup = ['nothing', 'prune'] as const;
/** Each store that is read at the same time takes its own memory, and time of the same disk. */
export const mostParallel = 16;
/** Of a large machine; each takes about 40 MB. */
const mostThreads = 64;
const level = z.int().min(1).max(22);

export const configSchema = z.strictObject({
  repository: text.optional(),
  retention: retentionSchema.optional(),
  compression: z.enum(compressions).optional(),
  compression_level: level.optional(),
  compression_threads: z.int().min(1).max(mostThreads).optional(),
  direct_read: z.boolean().optional(),
  parallel: z.int().min(1).max(mostParallel).optional(),
  /** Who writes to the stores: containers by name, id or compose service. */
  clients: z.array(text).optional(),
  clients_quiesce: z.enum(['pause', 'stop']).optional(),
  clients_longest: z.string().regex(durationPattern, 'expected a duration such as 30s or 2m').optional(),
  /** Programs that hold and release writers outside Docker. */
  clients_hold: commandSchema.optional(),
  clients_release: commandSchema.optional(),
  consistent: z.boolean().optional(),
  after_backup: z.enum(afterBackup).optional(),
  hooks: hooksSchema.optional(),
  notify: notifySchema.optional(),
  /** For the textfile collector of Prometheus. */
  metrics_file: text.optional(),
  ignore_volumes: z.array(text).optional(),
  schedule: scheduleSchema.optional(),
  time_zone: timeZoneSchema.optional(),
  /** What `status` expects of every store, and of the repository. */
  ...expectationShape,
  max_disk_use: maxDiskUseSchema.optional(),
  fail_on_shrink: z.boolean().optional(),
  stores: z.record(z.string(), z.unknown()).optional(),
});

/** The keys that every store may have, whatever its kind. */
export const commonStoreSchema = z.object({
  kind: z.enum(stores.map((store) => store.kind)),
  quiesce: z.enum(quiesceModes).optional(),
  grace_seconds: z.int().min(1).max(3600).optional(),
  health_seconds: z.int().min(1).max(86_400).optional(),
  allow_empty: z.boolean().optional(),
  compression: z.enum(compressions).optional(),
  compression_level: level.optional(),
  retention: retentionSchema.optional(),
  schedule: storeScheduleSchema.optional(),
  time_zone: timeZoneSchema.optional(),
  ...storeExpectationShape,
  hooks: hooksSchema.optional(),
  /** Programs for a server on this host. */
  stop: commandSchema.optional(),
  start: commandSchema.optional(),
  clients: z.array(text).min(1).optional(),
  hold_dependents: z.boolean().optional(),
});
