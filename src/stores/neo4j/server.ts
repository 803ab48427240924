// A Neo4j server, asked by cypher-shell: inside its own container, where no port has to be open and the client fits the
// server, or on this host (on-host.ts). The password goes by the environment of the command. It is the one that is configured,
// else NEO4J_PASSWORD of our own environment, else what the container was given (NEO4J_AUTH), which is only valid on data
// that it was made with.
import { type Container, type Docker, type Finished, sleep } from '../../docker/index.ts';
import { PkbackupError } from '../../errors.ts';
import { readSecret, Secret } from '../../secret.ts';
import type { Counts } from '../../words.ts';
import type { StoreContext } from '../store.ts';
import { countsOf } from './records.ts';

/** How the configuration says it is reached. */
export interface Login {
  readonly user?: string | undefined;
  readonly password_env?: string | undefined;
  readonly password_file?: string | undefined;
}

/** Where the programs of Neo4j run. */
export interface Neo4jTools {
  /** For people: `container "graph"`. */
  readonly name: string;
  /** What to type to see its log. */
  readonly seeLog: string;
  /** Of Bolt. */
  readonly address: string;
  run(
    command: readonly [string, ...string[]],
    options: { env?: Record<string, string>; user?: string; signal: AbortSignal },
  ): Promise<Finished>;
  /** False where there is nothing to wait for. */
  isUp(signal: AbortSignal): Promise<boolean>;
}

export interface Neo4jServer {
  readonly tools: Neo4jTools;
  /** In the order in which they are tried. */
  readonly credentials: readonly Credential[];
  readonly signal: AbortSignal;
}

export interface Credential {
  readonly user: string;
  readonly password: Secret;
  /** For messages: where it comes from. */
  readonly origin: string;
}

export interface Database {
  readonly name: string;
  readonly requested: string;
  readonly current: string;
  readonly message: string;
}

export interface ServerFacts {
  /** `5.26.0` */
  readonly version: string;
  readonly edition: string;
  /** As the server sees them. */
  readonly dataDirectory: string;
  readonly logDirectory: string;
  readonly databases: readonly Database[];
}

export const queryDeadlineMs = 120_000;
const onlineDeadlineMs = 300_000;
export const databaseOfSystem = 'system';

export async function serverOf(
  docker: Docker,
  container: Container,
  login: Login,
  context: Asking,
): Promise<Neo4jServer> {
  const [initialUser = '', initialPassword] =
    /^([^/]+)\/([^/]+)/.exec(container.env.NEO4J_AUTH ?? '')?.slice(1) ?? [];
  const initial = initialPassword
    ? [
        {
          user: initialUser || 'neo4j',
          password: new Secret(initialPassword),
          origin: 'NEO4J_AUTH of the container',
        },
      ]
    : [];
  const credentials = await credentialsOf(login, initial, context);
  return { tools: toolsInContainer(docker, container), credentials, signal: context.signal };
}

export type Asking = Pick<StoreContext, 'environment' | 'signal'>;

/** In the order in which they are tried; `initial` are those of new data. */
export async function credentialsOf(
  login: Login,
  initial: readonly Credential[],
  { environment }: Pick<Asking, 'environment'>,
): Promise<readonly Credential[]> {
  const configured = await readSecret({ env: login.password_env, file: login.password_file }, environment);
  const user = login.user ?? environment.NEO4J_USER ?? 'neo4j';
  const origin = login.password_file ? 'password_file' : 'password_env';
  // What is configured is what is meant: to try others would only lock the account.
  if (configured) return [{ user, password: configured, origin }];
  const usual = secretOf(environment.NEO4J_PASSWORD);
  const ofEnvironment = usual ? [{ user, password: usual, origin: 'NEO4J_PASSWORD' }] : [];
  return [...ofEnvironment, ...initial].slice(0, 2);
}

export function toolsInContainer(docker: Docker, { id, name }: Container): Neo4jTools {
  return {
    name: `container "${name}"`,
    seeLog: `docker logs ${name}`,
    address: 'bolt://localhost:7687',
    run: (command, { env = {}, user, signal }) =>
      docker.exec(id, {
        command,
        env,
        ...(user === undefined ? {} : { user }),
        deadlineMs: queryDeadlineMs,
        signal,
      }),
    isUp: async (signal) => (await docker.container(id, { signal }))?.state === 'running',
  };
}

const secretOf = (text: string | undefined): Secret | undefined => (text ? new Secret(text) : undefined);

/** Throws `unhealthy` where it does not answer, `config` where no password is right. */
export async function readFacts(server: Neo4jServer): Promise<ServerFacts> {
  const rows = await ask(server, databaseOfSystem, [
    'SHOW DATABASES YIELD name, requestedStatus, currentStatus, statusMessage',
    "SHOW SETTINGS 'server.directories.data', 'server.directories.transaction.logs.root' YIELD name, value",
    'CALL dbms.components() YIELD versions, edition RETURN versions[0] AS version, edition',
  ]);
  const settings = new Map(
    rows.filter(({ value }) => value !== undefined).map(({ name, value }) => [name, value]),
  );
  const component = rows.find(({ version }) => version !== undefined);
  return {
    version: component?.version ?? '',
    edition: component?.edition ?? '',
    dataDirectory: settings.get('server.directories.data') ?? '',
    logDirectory: settings.get('server.directories.transaction.logs.root') ?? '',
    databases: rows.filter(({ currentStatus }) => currentStatus !== undefined).map(databaseOf),
  };
}

function databaseOf(row: Row): Database {
  return {
    name: row.name ?? '',
    requested: row.requestedStatus ?? '',
    current: row.currentStatus ?? '',
    message: row.statusMessage ?? '',
  };
}

/** Rows by the names of databases. */
export type Answers = ReadonlyMap<string, readonly Row[]>;

/** The same statements to each database that is online, `system` left out; each is one call, whatever is asked. */
export async function askDatabases(
  server: Neo4jServer,
  databases: readonly Database[],
  statements: readonly string[],
): Promise<Answers> {
  const answers = new Map<string, Row[]>();
  for (const { name, current } of databases) {
    if (name === databaseOfSystem || current !== 'online') continue;
    answers.set(name, await ask(server, name, statements));
  }
  return answers;
}

/** Answered by the server's own count store. */
export const countStatements: readonly string[] = [
  'MATCH (n) RETURN count(n) AS nodes',
  'MATCH ()-[r]->() RETURN count(r) AS relationships',
];

export function countsIn(answers: Answers): Counts {
  const counts = new Map<string, { nodes: number; relationships: number }>();
  for (const [name, rows] of answers) {
    const numberOf = (column: string) => Number(rows.find((row) => row[column] !== undefined)?.[column]);
    counts.set(name, { nodes: numberOf('nodes'), relationships: numberOf('relationships') });
  }
  return countsOf(counts);
}

/** Nodes and relationships of all databases but `system`. */
export async function countDatabases(server: Neo4jServer, databases: readonly Database[]): Promise<Counts> {
  return countsIn(await askDatabases(server, databases, countStatements));
}

/**
 * Waits until every database that is meant to be online is: HTTP and Bolt answer before that. Throws `unhealthy`, or
 * `config` where no password is right.
 */
export async function waitUntilOnline(
  server: Neo4jServer,
  deadlineMs = onlineDeadlineMs,
): Promise<ServerFacts> {
  const giveUpAt = performance.now() + deadlineMs;
  for (;;) {
    await refuseEnded(server);
    const seen = await readFacts(server).catch((error: unknown) => {
      if (server.signal.aborted || !(error instanceof PkbackupError) || error.code !== 'unhealthy')
        throw error;
      return error;
    });
    if (!(seen instanceof PkbackupError)) {
      const waiting = seen.databases.find(({ requested, current }) => requested !== current);
      if (!waiting) return seen;
      if (waiting.message !== '' || performance.now() > giveUpAt) throw notOnline(server.tools, waiting);
    } else if (performance.now() > giveUpAt) throw seen;
    await sleep(500, server.signal);
  }
}

/** For who has no password: the databases are known to be open in the server, and no more. Throws `unhealthy`. */
export async function waitUntilInUse(
  server: Neo4jServer,
  data: { readonly databases: readonly string[]; readonly owner: string },
): Promise<void> {
  const giveUpAt = performance.now() + onlineDeadlineMs;
  while (!(await areInUse(server, data))) {
    await refuseEnded(server);
    if (performance.now() > giveUpAt) throw notOnline(server.tools, undefined);
    await sleep(1000, server.signal);
  }
}

async function refuseEnded({ tools, signal }: Neo4jServer): Promise<void> {
  if (!(await tools.isUp(signal))) throw notOnline(tools, undefined);
}

/** A database that could not be opened is not in use, although HTTP and Bolt answer. */
async function areInUse(
  { tools, signal }: Neo4jServer,
  { databases, owner }: { readonly databases: readonly string[]; readonly owner: string },
): Promise<boolean> {
  const command = ['neo4j-admin', 'database', 'info', '--format=json'] as const;
  const { stdout } = await tools.run(command, { user: owner, signal });
  const text = stdout.toString('utf8');
  return databases.every((name) => text.includes(`"databaseName":${JSON.stringify(name)},"inUse":"true"`));
}

function notOnline({ name, seeLog }: Neo4jTools, database: Database | undefined): PkbackupError {
  const what = database
    ? `database "${database.name}" in ${name} is ${database.current}${database.message ? `: ${database.message}` : ''}`
    : `${name} does not serve`;
  return new PkbackupError('unhealthy', what, { hint: `see ${seeLog}` });
}

export type Row = Record<string, string | undefined>;

/** All statements in one call, because each starts a JVM. Rows of all of them, by the names of their columns. */
async function ask(server: Neo4jServer, database: string, statements: readonly string[]): Promise<Row[]> {
  const { tools, signal } = server;
  return await loggedIn(server, async (env) => {
    const command = [...cypherShell(tools, database), `${statements.join(';\n')};`] as const;
    const { exitCode, stdout, stderr } = await tools.run(command, { env, signal });
    return exitCode === 0 ? { answer: parseTables(stdout.toString('utf8')) } : { refusal: stderr };
  });
}

type Attempt<Answer> = { readonly answer: Answer } | { readonly refusal: string };

/** With each of the credentials in turn, as long as the server refuses them; `env` is for cypher-shell. */
export async function loggedIn<Answer>(
  { tools, credentials }: Neo4jServer,
  attempt: (env: Record<string, string>) => Promise<Attempt<Answer>>,
): Promise<Answer> {
  const tried: Credential[] = [];
  for (const credential of credentials.length > 0 ? credentials : [undefined]) {
    const env = credential
      ? { NEO4J_USERNAME: credential.user, NEO4J_PASSWORD: credential.password.reveal() }
      : {};
    const result = await attempt(env);
    if ('answer' in result) return result.answer;
    const said = result.refusal.trim().split('\n').at(-1) ?? '';
    if (!/unauthorized|incorrect authentication|must be changed/i.test(said)) throw cannotAsk(tools, said);
    if (credential) tried.push(credential);
  }
  throw wrongPassword(tools, tried);
}

/** Not `neo4j://`, which would follow the address that the server tells its clients outside. */
export const cypherShell = (
  { address }: Pick<Neo4jTools, 'address'>,
  database: string,
): [string, ...string[]] => [
  'cypher-shell',
  ...['--non-interactive', '--format', 'plain', '-a', address, '-d', database],
];

/** Blocks of a line of column names and a line per row; strings are quoted, the rest is bare. */
export function parseTables(text: string): Row[] {
  let columns: string[] = [];
  const rows: Row[] = [];
  for (const line of text.split('\n').filter((each) => each.trim() !== '')) {
    const values = valuesOf(line);
    const isHeader = /^[A-Za-z]\w*(, [A-Za-z]\w*)*$/.test(line) && !/^(TRUE|FALSE|NULL)\b/.test(line);
    if (isHeader) columns = values;
    else rows.push(Object.fromEntries(columns.map((column, index) => [column, values[index]])));
  }
  return rows;
}

function valuesOf(line: string): string[] {
  const found = line.matchAll(/"((?:[^"\\]|\\.)*)"|([^,\s][^,]*)/g);
  return [...found].map(([, quoted, bare]) => quoted?.replace(/\\(.)/g, '$1') ?? bare ?? '');
}

function cannotAsk({ name, seeLog }: Neo4jTools, said: string): PkbackupError {
  return new PkbackupError(
    'unhealthy',
    `the server in ${name} cannot be asked: ${said || 'cypher-shell says nothing'}`,
    {
      hint: `see ${seeLog}`,
    },
  );
}

function wrongPassword({ name }: Neo4jTools, tried: readonly Credential[]): PkbackupError {
  const [first] = tried;
  const message = first
    ? `the server in ${name} refuses the password of user "${first.user}" (from ${tried.map(({ origin }) => origin).join(', then ')})`
    : `the server in ${name} asks for a password`;
  return new PkbackupError('config', message, {
    hint: 'set user and password_env (or password_file) of this store; NEO4J_AUTH of the container counts only for the first start on new data',
  });
}
