// The metadata file of a backup: a superset of what the replaced scripts wrote. It is written last and is the mark of
// completeness. Reading is lenient (a BOM, CRLF, unknown and missing fields), because files of years must stay readable,
// and it is input: it selects and describes, and never names a path outside the repository.
import { z } from 'zod';
import { PkbackupError } from '../errors.ts';
import { oldForms } from '../legacy/forms.ts';
import { compressions, kinds, quiesceModes } from '../words.ts';
import { checkLevels } from './checks.ts';
import { isStoreName } from './naming.ts';

/** It becomes part of paths: no other than those that a configuration may have. */
export const storeNameSchema = z.string().refine(isStoreName, 'not a name of a store');

const counts = z.record(z.string(), z.number());

const source = z.looseObject({
  container: z.string().optional(),
  image: z.string().optional(),
  image_digest: z.string().optional(),
  volume: z.string().optional(),
  compose_project: z.string().optional(),
  compose_service: z.string().optional(),
  path: z.string().optional(),
  url: z.string().optional(),
  one_moment: z.boolean().optional(),
  volume_driver: z.string().optional().catch(undefined),
  volume_labels: z.record(z.string(), z.string()).optional().catch(undefined),
  volume_options: z.record(z.string(), z.string()).optional().catch(undefined),
  volume_directory: z.string().optional().catch(undefined),
  append_only: z.boolean().optional().catch(undefined),
});

const check = z.looseObject({
  at: z.string(),
  level: z.enum(checkLevels),
  ok: z.boolean(),
  findings: z.array(z.string()).optional(),
  /** Of a drill: from its begin until the restored store served. */
  recovery_ms: z.number().optional(),
  /** Of a drill under another image than that of the backup. */
  image: z.string().optional(),
});

const metadata = z.looseObject({
  schema_version: z.number(),
  /** Name of the archive, beside this file. */
  backup_file: z.string(),
  /** ISO 8601, UTC: the moment that the content shows. */
  created_at: z.iso.datetime({ offset: true }),
  store: storeNameSchema,
  kind: z.enum(kinds),
  set_id: z.string().optional(),
  source: source.default({}),
  store_version: z.string().optional(),
  quiesce: z.enum(quiesceModes).optional(),
  downtime_ms: z.number().optional(),
  /** Whether the server had to be killed, or came back while it was read. */
  clean_stop: z.boolean().optional(),
  /** Length of the archive, of the tar in it, and of the files in that, in bytes. */
  size_bytes: z.number(),
  raw_size_bytes: z.number().optional(),
  content_bytes: z.number().optional(),
  entries: z.number().optional(),
  /** What the data took in the store itself, in bytes, where that says more than the length of the tar. */
  stored_bytes: z.number().optional(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  compression: z.enum(compressions).optional(),
  /** Of a file that an older script made: how the content lies in it. */
  form: z.enum(oldForms).optional(),
  /** That file was taken over; its checksum file is ours where it had none. */
  adopted: z
    .looseObject({ at: z.iso.datetime({ offset: true }), wrote_checksum: z.boolean().default(false) })
    .optional(),
  counts: counts.default({}),
  databases: z.array(z.string()).optional(),
  /** What people should know of the copy, as it was told at the backup. */
  notes: z.array(z.string()).optional().catch(undefined),
  /** Questions to the store with their answers, which a drill asks again; each kind has its own. */
  samples: z.array(z.record(z.string(), z.unknown())).max(200).optional().catch(undefined),
  /** Names at the top that it holds; what else is in the place stays there when it is restored. */
  only: z.array(z.string()).optional(),
  duration_ms: z.number().optional(),
  hostname: z.string().optional(),
  tool_version: z.string().optional(),
  pinned: z.union([z.boolean(), z.string()]).optional(),
  /** Only in the trash: when it was pruned. */
  trashed_at: z.iso.datetime({ offset: true }).optional(),
  /** Taken by a restore of what it replaced. */
  safety: z.boolean().optional(),
  /** Newest last. */
  checks: z.array(check).default([]),
});

export type Metadata = z.infer<typeof metadata>;
export type Check = z.infer<typeof check>;

/** Throws `bad_backup` with what is wrong in one line. */
export function parseMetadata(text: string, name: string): Metadata {
  const json = parseJson(text.replace(/^\uFEFF/, ''), name);
  const result = metadata.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = issue?.path.join('.') || 'the document';
  throw new PkbackupError('bad_backup', `the metadata "${name}" cannot be read: ${where}: ${issue?.message}`);
}

export function formatMetadata(value: Metadata): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function parseJson(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new PkbackupError('bad_backup', `the metadata "${name}" is not JSON`, { cause });
  }
}
