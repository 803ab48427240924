// A collection as it was, in another server: with the same metadata, and an index that is configured the same. Servers of
// different versions take that in different forms, and some say yes to what they then leave out; so what was made is compared.
import { PkbackupError } from '../../errors.ts';
import type { ChromaApi, Place, RemoteCollection } from './api.ts';
import { named, said } from './http.ts';
import { canonical, membersOf } from './json-slices.ts';

export interface Made {
  readonly collection: RemoteCollection;
  /** What could not be made the same. */
  readonly note?: string;
}

/** Throws `restore_failed` where the server takes it in no form. */
export async function makeCollection(
  api: ChromaApi,
  original: RemoteCollection,
  place: Place,
  name: string,
): Promise<Made> {
  let last: string | undefined;
  let made: RemoteCollection | undefined;
  for (const form of formsOf(original)) {
    if (made) await api.remove(made);
    made = undefined;
    const answer = await api.create(place, bodyOf(name, form));
    if ('status' in answer) last = said(answer);
    else if (isAlike(original, answer)) return { collection: answer };
    else made = answer;
  }
  if (made) {
    const note = `collection "${original.name}": the server has configured its index otherwise than it was`;
    return { collection: made, note };
  }
  throw new PkbackupError(
    'restore_failed',
    `${named(api.url)} does not take collection "${original.name}": ${last ?? 'no answer'}`,
  );
}

type Form = Partial<Record<'metadata' | 'configuration' | 'schema', string>>;

/** The best first. 0.x tells all in the metadata (`hnsw:space`), and its configuration says nothing. */
function formsOf(original: RemoteCollection): Form[] {
  const metadata =
    original.metadata === 'null' || original.metadata === '{}' ? {} : { metadata: original.metadata };
  const { configuration, schema } = original;
  const withSchema = schema === 'null' ? [] : [{ ...metadata, schema }];
  const withConfiguration = isOld(configuration) ? [] : [{ ...metadata, configuration }];
  return [...withSchema, metadata, ...withConfiguration];
}

function bodyOf(name: string, form: Form): string {
  const members = Object.entries(form).map(([key, text]) => `,"${key}":${text}`);
  return `{"name":${JSON.stringify(name)},"get_or_create":true${members.join('')}}`;
}

const isOld = (configuration: string): boolean =>
  configuration === 'null' || membersOf(configuration).has('_type');

function isAlike(original: RemoteCollection, made: RemoteCollection): boolean {
  if (isOld(original.configuration) || isOld(made.configuration)) return true;
  if (canonical(original.configuration) !== canonical(made.configuration)) return false;
  if (original.schema === 'null' || made.schema === 'null') return true;
  return canonical(withoutLearned(original.schema)) === canonical(withoutLearned(made.schema));
}

/** A server notes each name that it meets in the metadata of records, and indexes it as it does by default. */
function withoutLearned(schema: string): string {
  const members = membersOf(schema);
  const defaults = membersOf(members.get('defaults') ?? '{}');
  const isLearned = (key: string) =>
    [...membersOf(key)].every(([type, how]) => canonical(how) === canonical(defaults.get(type) ?? 'null'));
  const keys = [...membersOf(members.get('keys') ?? '{}')].filter(([, key]) => !isLearned(key));
  const kept = keys.map(([name, key]) => `${JSON.stringify(name)}:${key}`).join(',');
  return `{"defaults":${members.get('defaults') ?? 'null'},"keys":{${kept}}}`;
}
