// The manifest of a set: what one run was to back up, and what became of each store. It is written when the run has ended;
// the metadata of the backups says the rest. A set of one store has none: its backup says everything.
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { PkbackupError, systemCodeOf } from '../errors.ts';
import { kinds } from '../words.ts';
import { writeDurably } from './durable.ts';
import { storeNameSchema } from './metadata.ts';

const storeOfSet = z.looseObject({
  store: storeNameSchema,
  kind: z.enum(kinds),
  ok: z.boolean(),
  /** Nothing was to be backed up this time. */
  skipped: z.boolean().optional(),
  /** Of the backup, where there is one. */
  stem: z.string().optional(),
  error: z.string().optional(),
  /** ISO 8601, UTC: the moment that the backup shows. */
  pinned_at: z.iso.datetime({ offset: true }).optional(),
  duration_ms: z.number().optional(),
  downtime_ms: z.number().optional(),
  size_bytes: z.number().optional(),
});

const manifest = z.looseObject({
  type: z.literal('pkbackup-set'),
  schema_version: z.number(),
  set_id: z.string(),
  started_at: z.iso.datetime({ offset: true }),
  duration_ms: z.number(),
  /** Some store has no good backup in this set. */
  partial: z.boolean(),
  /** The writers were held from before the first store was pinned until the last was. */
  consistent: z.boolean(),
  /** How long they were held, where they were. */
  held_ms: z.number().optional(),
  /** Between the first and the last pinned moment. */
  skew_ms: z.number().optional(),
  stores: z.array(storeOfSet),
});

export type Manifest = z.infer<typeof manifest>;

const suffix = '.json';
const setId = /^[0-9A-Za-z][0-9A-Za-z-]{0,63}$/;

export interface ManifestFiles {
  write(manifest: Manifest): Promise<void>;
  /** Undefined where there is none; throws `bad_backup` where it cannot be read. */
  read(setId: string): Promise<Manifest | undefined>;
  /** Of those that have one. */
  ids(): Promise<string[]>;
  remove(setId: string): Promise<void>;
}

export function manifestFilesIn(directory: string): ManifestFiles {
  const sets = join(directory, 'sets');
  const pathOf = (id: string) => join(sets, `${id}${suffix}`);
  return {
    async write(value) {
      await mkdir(sets, { recursive: true, mode: 0o700 });
      await writeDurably(pathOf(value.set_id), `${JSON.stringify(value, null, 2)}\n`);
    },
    async read(id) {
      if (!setId.test(id)) return undefined;
      try {
        return parseManifest(await readFile(pathOf(id), 'utf8'), id);
      } catch (error) {
        if (systemCodeOf(error) === 'ENOENT') return undefined;
        throw error;
      }
    },
    async ids() {
      const names = await readdir(sets).catch((error: unknown) => {
        if (systemCodeOf(error) === 'ENOENT') return [];
        throw error;
      });
      const ids = names.filter((name) => name.endsWith(suffix)).map((name) => name.slice(0, -suffix.length));
      return ids.filter((id) => setId.test(id));
    },
    remove: (id) => rm(pathOf(id), { force: true }),
  };
}

function parseManifest(text: string, id: string): Manifest {
  const bad = (why: string) =>
    new PkbackupError('bad_backup', `the manifest of set "${id}" cannot be read: ${why}`, {
      hint: 'its backups are not touched by that: restore them one by one',
    });
  let json: unknown;
  try {
    json = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch {
    throw bad('it is not JSON');
  }
  const result = manifest.safeParse(json);
  if (!result.success)
    throw bad(`${result.error.issues[0]?.path.join('.')}: ${result.error.issues[0]?.message}`);
  if (result.data.set_id !== id) throw bad(`it is of another set, "${result.data.set_id}"`);
  return result.data;
}
