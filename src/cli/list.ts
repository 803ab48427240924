// pkbackup list: what there is.
import { noSuchStore } from '../config/choose-stores.ts';
import type { Place } from '../config/index.ts';
import { type ListResult, list, onlyOf } from '../operations/list.ts';
import { listJson, listText } from '../reporters/list-result.ts';
import { openToLook, shortPath } from './open-run.ts';
import type { Session } from './session.ts';

export interface ListFlags {
  readonly all?: boolean;
}

/** Programs get everything; people what matters, unless they ask for all. */
export async function runList(
  session: Session,
  names: readonly string[],
  flags: ListFlags = {},
): Promise<number> {
  const place = await session.place();
  const run = await openToLook(session, 'list');
  const isShort = !(flags.all || session.flags.json || session.flags.events);
  const found = await list(run, { isShort });
  refuseUnknown(names, found, place.stores);
  const result = names.length === 0 ? found : onlyOf(found, names);
  session.answer({
    text: (look) => listText(result, shortPath(place.repository), look),
    json: () => listJson(result),
    isAsked: true,
  });
  return 0;
}

/** A mistyped name never means "nothing": throws `not_found` with the near one. */
export function refuseUnknown(
  names: readonly string[],
  { stores, old }: ListResult,
  configured: Place['stores'],
): void {
  const known = [
    ...stores.map(({ store }) => store),
    ...configured.map(({ name }) => name),
    ...old.flatMap(({ backup }) => backup?.store ?? []),
  ];
  for (const name of names) {
    if (!known.includes(name))
      throw noSuchStore(name, known, 'the repository is empty, and no store is configured');
  }
}
