// What is asked of a ChromaDB by its API: v2 (0.6 and later), or v1 of what came before. Values that are data stay the text
// that the server gave.
import { PkbackupError } from '../../errors.ts';
import { type Answer, type Http, named, type Request, said } from './http.ts';
import { elementsOf, membersOf } from './json-slices.ts';

/** Where collections lie. */
export interface Place {
  readonly tenant: string;
  readonly database: string;
}

export interface RemoteCollection extends Place {
  readonly id: string;
  readonly name: string;
  /** Undefined until it has a record. */
  readonly dimension: number | undefined;
  /** Texts of JSON; `null` where there is none. */
  readonly metadata: string;
  readonly configuration: string;
  readonly schema: string;
}

export type Field = 'embeddings' | 'documents' | 'metadatas' | 'uris';

/** The records of one page, each value as its text. */
export interface Page {
  readonly ids: readonly string[];
  /** Characters of the whole answer. */
  readonly length: number;
  /** `null` for what a record has not. */
  readonly values: (field: Field) => readonly string[];
}

export const defaultPlace: Place = { tenant: 'default_tenant', database: 'default_database' };
const listed = 200;

/** Throws `failed` where something answers that is no ChromaDB. */
export async function openApi(http: Http): Promise<ChromaApi> {
  for (const version of ['v2', 'v1'] as const) {
    const answer = await http.ask({ method: 'GET', path: `/api/${version}/heartbeat` });
    if (answer.status !== 200 || !answer.text.includes('heartbeat')) continue;
    const { text } = await http.ask({ method: 'GET', path: `/api/${version}/version` });
    return new ChromaApi(http, version, textOf(text));
  }
  throw new PkbackupError('failed', `what answers at "${http.url}" is no ChromaDB`, {
    hint: 'url is that of the server without /api, such as https://chroma.example.org or http://127.0.0.1:8000',
  });
}

export class ChromaApi {
  readonly url: string;
  /** As it tells it: every 1.x says 1.0.0. */
  readonly version: string;
  readonly #http: Http;
  readonly #api: 'v1' | 'v2';

  constructor(http: Http, api: 'v1' | 'v2', version: string) {
    this.#http = http;
    this.#api = api;
    this.url = http.url;
    this.version = version;
  }

  /** For work that must go on after an interruption. */
  uninterrupted(): ChromaApi {
    return new ChromaApi(this.#http.uninterrupted(), this.#api, this.version);
  }

  /** The tenant of who asks. */
  async ownTenant(): Promise<string> {
    if (this.#api === 'v1') return defaultPlace.tenant;
    const answer = await this.#http.ask({ method: 'GET', path: '/api/v2/auth/identity' });
    const tenant = answer.status === 200 ? textOf(membersOf(answer.text).get('tenant')) : '';
    return tenant === '' || tenant === '*' ? defaultPlace.tenant : tenant;
  }

  /** Names of the databases of a tenant; undefined where it cannot list them. */
  async databases(tenant: string): Promise<string[] | undefined> {
    if (this.#api === 'v1') return undefined;
    const path = `/api/v2/tenants/${encode(tenant)}/databases`;
    const names: string[] = [];
    for (;;) {
      const answer = await this.#http.ask({
        method: 'GET',
        path: `${path}?limit=${listed}&offset=${names.length}`,
      });
      if (answer.status === 404 || answer.status === 405) return undefined;
      const page = elementsOf(this.#good(answer, `list the databases of tenant "${tenant}"`));
      names.push(...page.map((one) => textOf(membersOf(one).get('name'))));
      if (page.length < listed) return names;
    }
  }

  async hasDatabase(place: Place): Promise<boolean> {
    const { tenant, database } = place;
    if (this.#api === 'v1') return this.#hasDatabaseV1(place);
    const path = `/api/v2/tenants/${encode(tenant)}/databases/${encode(database)}`;
    const answer = await this.#http.ask({ method: 'GET', path });
    if (isMissing(answer)) return false;
    this.#good(answer, `look for database "${database}"`);
    return true;
  }

  /** Some servers of v1 cannot say it, and only those of 0.6 are wrong about one that is empty. */
  async #hasDatabaseV1(place: Place): Promise<boolean> {
    const path = `/api/v1/databases/${encode(place.database)}?${new URLSearchParams({ tenant: place.tenant })}`;
    const { status } = await this.#http.ask({ method: 'GET', path });
    return status < 300 || (await this.collections(place)).length > 0;
  }

  /** Also the tenant, where it is not there. */
  async makeDatabase({ tenant, database }: Place): Promise<void> {
    const act = `make database "${database}" of tenant "${tenant}"`;
    await this.#change(act, 'POST', `/api/${this.#api}/tenants`, { name: tenant });
    const path =
      this.#api === 'v1'
        ? `/api/v1/databases?${new URLSearchParams({ tenant })}`
        : `/api/v2/tenants/${encode(tenant)}/databases`;
    await this.#change(act, 'POST', path, { name: database });
  }

  /** With all that is in it; v1 cannot. */
  async removeDatabase({ tenant, database }: Place): Promise<void> {
    if (this.#api === 'v1') return;
    const path = `/api/v2/tenants/${encode(tenant)}/databases/${encode(database)}`;
    const answer = await this.#http.ask({ method: 'DELETE', path });
    if (!isMissing(answer)) this.#good(answer, `remove database "${database}"`);
  }

  /** By name; none where the database is not there. */
  async collections(place: Place): Promise<RemoteCollection[]> {
    const found: RemoteCollection[] = [];
    for (;;) {
      const answer = await this.#http.ask({
        method: 'GET',
        path: this.#collections(place, '', { limit: listed, offset: found.length }),
      });
      if (isMissing(answer)) return [];
      const page = elementsOf(this.#good(answer, `list the collections of database "${place.database}"`));
      found.push(...page.map((one) => collectionOf(one, place)));
      if (page.length < listed) break;
    }
    return found.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Undefined where it is not there any more. */
  async count(collection: RemoteCollection): Promise<number | undefined> {
    const path = this.#collections(collection, `/${encode(collection.id)}/count`);
    const answer = await this.#http.ask({ method: 'GET', path });
    if (isMissing(answer)) return undefined;
    return Number(this.#good(answer, `count collection "${collection.name}"`));
  }

  /** In the order in which they were added. Undefined where the collection is not there any more. */
  async page(
    collection: RemoteCollection,
    which: { readonly limit: number; readonly offset: number } | { readonly ids: readonly string[] },
    include: readonly Field[],
  ): Promise<Page | undefined> {
    const answer = await this.#http.ask({
      method: 'POST',
      path: this.#collections(collection, `/${encode(collection.id)}/get`),
      body: JSON.stringify({ ...which, include }),
    });
    if (isMissing(answer)) return undefined;
    return pageOf(this.#good(answer, `read collection "${collection.name}"`), collection);
  }

  /** `body` is JSON. Gives what was made, or why it was not. One of that name, of a try before, is the same. */
  async create(place: Place, body: string): Promise<RemoteCollection | Answer> {
    const answer = await this.#http.ask({ method: 'POST', path: this.#collections(place), body });
    return answer.status < 300 ? collectionOf(answer.text, place) : answer;
  }

  async add(collection: RemoteCollection, body: string): Promise<void> {
    const path = this.#collections(collection, `/${encode(collection.id)}/add`);
    this.#good(
      await this.#http.ask({ method: 'POST', path, body }),
      `write to collection "${collection.name}"`,
    );
  }

  async rename(collection: RemoteCollection, name: string): Promise<void> {
    const path = this.#collections(collection, `/${encode(collection.id)}`);
    const answer = await this.#http.ask({ method: 'PUT', path, body: JSON.stringify({ new_name: name }) });
    this.#good(answer, `rename collection "${collection.name}" to "${name}"`);
  }

  /** By its name: that MUST be the one that it has now. */
  async remove(collection: Place & { readonly name: string }): Promise<void> {
    const path = this.#collections(collection, `/${encode(collection.name)}`);
    const answer = await this.#http.ask({ method: 'DELETE', path });
    if (!isMissing(answer)) this.#good(answer, `remove collection "${collection.name}"`);
  }

  /** How many records a server takes at once; undefined where it does not say. */
  async mostAtOnce(): Promise<number | undefined> {
    const { status, text } = await this.#http.ask({
      method: 'GET',
      path: `/api/${this.#api}/pre-flight-checks`,
    });
    const most = status === 200 ? Number(membersOf(text).get('max_batch_size')) : Number.NaN;
    return Number.isSafeInteger(most) && most > 0 ? most : undefined;
  }

  #collections({ tenant, database }: Place, below = '', query: Record<string, number> = {}): string {
    const more = Object.entries(query).map(([key, value]): [string, string] => [key, String(value)]);
    if (this.#api === 'v1') {
      const all = new URLSearchParams([['tenant', tenant], ['database', database], ...more]);
      return `/api/v1/collections${below}?${all}`;
    }
    const asked = more.length > 0 ? `?${new URLSearchParams(more)}` : '';
    return `/api/v2/tenants/${encode(tenant)}/databases/${encode(database)}/collections${below}${asked}`;
  }

  /** What is there already is what was wanted: a try before may have made it. */
  async #change(act: string, method: Request['method'], path: string, body: object): Promise<void> {
    const answer = await this.#http.ask({ method, path, body: JSON.stringify(body) });
    const isThere = answer.status === 409 || /already exists/i.test(answer.text);
    if (!isThere) this.#good(answer, act);
  }

  #good(answer: Answer, act: string): string {
    if (answer.status < 300) return answer.text;
    throw new PkbackupError('failed', `${named(this.url)}: ${act}: it answers ${said(answer)}`);
  }
}

const encode = encodeURIComponent;

/** 0.x says it with 400 or 500, too. */
const isMissing = ({ status, text }: Answer): boolean =>
  status === 404 || (status >= 400 && /NotFound|InvalidCollection|does not exist|not found/i.test(text));

function collectionOf(text: string, { tenant, database }: Place): RemoteCollection {
  const members = membersOf(text);
  const dimension = Number(members.get('dimension') ?? 'none');
  return {
    tenant,
    database,
    id: textOf(members.get('id')),
    name: textOf(members.get('name')),
    dimension: Number.isSafeInteger(dimension) && dimension > 0 ? dimension : undefined,
    metadata: members.get('metadata') ?? 'null',
    configuration: members.get('configuration_json') ?? 'null',
    schema: members.get('schema') ?? 'null',
  };
}

function pageOf(text: string, { name }: RemoteCollection): Page {
  const members = membersOf(text);
  const ids = elementsOf(members.get('ids') ?? '[]');
  return {
    ids,
    length: text.length,
    values(field) {
      const list = members.get(field) ?? 'null';
      if (list === 'null') return ids.map(() => 'null');
      const values = elementsOf(list);
      if (values.length === ids.length) return values;
      throw new PkbackupError(
        'failed',
        `collection "${name}": the server gave ${ids.length} ids and ${values.length} ${field}`,
      );
    },
  };
}

function textOf(text: string | undefined): string {
  const value: unknown = text === undefined ? undefined : JSON.parse(text);
  return typeof value === 'string' ? value : '';
}
