// A PostgreSQL server, asked through psql, pg_dump and pg_restore: those of its own container, which always match it, or those
// of this host. Passwords go by the environment; what holds hashes or settings goes by stdin, never by argv.
import { randomBytes } from 'node:crypto';
import type { Container, Finished } from '../../docker/index.ts';
import { PkbackupError } from '../../errors.ts';
import { readSecret, Secret } from '../../secret.ts';
import type { Disk } from '../free-space.ts';
import type { StoreContext } from '../store.ts';
import { findRunning, toolsInContainer } from './in-container.ts';
import { type Address, addressOf, toolsOnHost } from './on-host.ts';
import { psqlCommand } from './psql-command.ts';

export interface ServerTarget {
  readonly container?: string | undefined;
  readonly url_env?: string | undefined;
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly tools?: string | undefined;
  readonly user?: string | undefined;
  readonly password_env?: string | undefined;
  readonly password_file?: string | undefined;
  readonly database?: string | undefined;
}

export type Command = readonly [string, ...string[]];

/** Where psql and the others run. */
export interface Tools {
  /** Whatever the exit code. */
  run(command: Command, env: Environment, signal: AbortSignal): Promise<Finished>;
  /** stdout of a tool; throws at the end unless it was whole and the exit code is 0. */
  stream(
    command: Command,
    env: Environment,
    signal: AbortSignal,
    stdin?: AsyncIterable<Buffer>,
  ): AsyncGenerator<Buffer>;
  /** Whether a tool is told the end of its stdin. */
  readonly takesStdin: boolean;
  feed(
    command: Command,
    input: AsyncIterable<Buffer>,
    env: Environment,
    signal: AbortSignal,
  ): Promise<Buffer>;
  /** Whether there can still be a server to wait for. */
  isUp(signal: AbortSignal): Promise<boolean>;
  /** The disk of the data directory; undefined where it cannot be seen. */
  diskOf(path: string, signal: AbortSignal): Promise<Disk | undefined>;
}

export type Environment = Readonly<Record<string, string>>;

export interface Server {
  /** For people: `container "db"`, `server "db.example.org:5432"`. */
  readonly where: string;
  /** Undefined where it is reached over the network, or on this host. */
  readonly container: Container | undefined;
  readonly address: Address | undefined;
  readonly user: string;
  /** Under which our sessions are found in pg_stat_activity, to end them. */
  readonly applicationName: string;
  readonly signal: AbortSignal;

  /** The only row and column of `sql`, as text. */
  value(database: string, sql: string): Promise<string>;
  /** SQL in a session of its own; each of `statements` is sent as one message. */
  execute(database: string, ...statements: string[]): Promise<void>;
  /** Like `execute`, for what nobody may see in a process list or what is long; gives the lines of output. */
  script(database: string, sql: string): Promise<string[]>;
  /** Runs a tool with a small output, whatever its exit code. */
  run(command: Command): Promise<Finished>;
  /** stdout of a tool; throws at the end unless it was whole and the exit code is 0. `stdin` only where `takesStdin`. */
  stream(command: Command, stdin?: AsyncIterable<Buffer>): AsyncGenerator<Buffer>;
  /** False over Windows pipes, which cannot be closed at one end. */
  readonly takesStdin: boolean;
  /** Runs a tool with `input` at its stdin; throws unless the exit code is 0. */
  feed(command: Command, input: AsyncIterable<Buffer>): Promise<Buffer>;
  isUp(): Promise<boolean>;
  diskOf(path: string): Promise<Disk | undefined>;
  /** The same server for work that must go on after an interruption. */
  uninterrupted(): Server;
  /** The same server for work that something else breaks off. */
  withSignal(signal: AbortSignal): Server;
}

/** For people: where the tools are that a message is about. */
export const toolsAt = ({ container, where }: Pick<Server, 'container' | 'where'>): string =>
  `${container ? 'in' : 'for'} ${where}`;

/** Throws `not_found`, `ambiguous`, or `failed` where it does not run. */
export async function openServer(target: ServerTarget, context: StoreContext): Promise<Server> {
  const configured = await readSecret(
    { env: target.password_env, file: target.password_file },
    context.environment,
  );
  const applicationName = `pkbackup-${randomBytes(4).toString('hex')}`;
  const { signal } = context;
  const opened =
    target.container === undefined
      ? await openOnHost(target, configured, context)
      : await openInContainer(target.container, target.user, configured, context);
  const { password, environment = {}, ...known } = opened;
  const all = { ...environment, ...environmentOf(applicationName, password) };
  return serverOver({ ...known, applicationName, environment: all, signal });
}

interface Opened extends Pick<Server, 'where' | 'container' | 'address' | 'user'> {
  readonly tools: Tools;
  readonly password: Secret | undefined;
  readonly environment?: Environment;
}

async function openInContainer(
  name: string,
  wanted: string | undefined,
  configured: Secret | undefined,
  context: StoreContext,
): Promise<Opened> {
  const docker = await context.docker();
  const container = await findRunning(docker, name, context.signal);
  // The official image takes POSTGRES_USER as its superuser; a role "postgres" need not exist then.
  const superuser = container.env.POSTGRES_USER || 'postgres';
  const user = wanted ?? superuser;
  // Mostly none is asked for inside the container; where one is, it is that of our environment, or the superuser's own.
  const own = user === superuser ? container.env.POSTGRES_PASSWORD : undefined;
  const usual = context.environment.POSTGRES_PASSWORD || own;
  const password = configured ?? (usual ? new Secret(usual) : undefined);
  const where = `container "${container.name}"`;
  const tools = toolsInContainer(docker, container);
  return { where, container, address: undefined, user, tools, password };
}

async function openOnHost(
  target: ServerTarget,
  configured: Secret | undefined,
  context: StoreContext,
): Promise<Opened> {
  const address = await addressOf(target, context);
  const { user, environment } = address;
  const tools = toolsOnHost(address, target.tools, context);
  const password = configured ?? address.password;
  const where = `server "${address.name}"`;
  return { where, container: undefined, address, user, tools, password, environment };
}

interface Parts
  extends Pick<Server, 'where' | 'container' | 'address' | 'user' | 'applicationName' | 'signal'> {
  readonly tools: Tools;
  readonly environment: Environment;
}

function serverOver(parts: Parts): Server {
  const { where, container, address, tools, user, applicationName, environment, signal } = parts;
  const psql = (database: string, ...more: string[]) => psqlCommand(user, database, more);
  const psqlEnvironment = { ...environment, PGCLIENTENCODING: 'UTF8' };
  const ask = async (database: string, statements: readonly string[]): Promise<Finished> => {
    const command = psql(database, '--set=VERBOSITY=verbose', ...statements.map((sql) => `--command=${sql}`));
    const finished = await tools.run(command, psqlEnvironment, signal);
    if (finished.exitCode !== 0) throw psqlError(finished, database, where, user);
    return finished;
  };
  return {
    where,
    container,
    address,
    user,
    applicationName,
    signal,
    async value(database, sql) {
      return (await ask(database, [sql])).stdout.toString('utf8').replace(/\r?\n$/, '');
    },
    async execute(database, ...statements) {
      await ask(database, statements);
    },
    async script(database, sql) {
      // Terse, because else an error shows the line it is in.
      const command = psql(database, '--set=VERBOSITY=terse', '--file=-');
      const output = await tools.feed(command, oneChunk(sql), psqlEnvironment, signal);
      return output.toString('utf8').split(/\r?\n/).filter(Boolean);
    },
    run: (command) => tools.run(command, environment, signal),
    stream: (command, stdin) => tools.stream(command, environment, signal, stdin),
    takesStdin: tools.takesStdin,
    feed: (command, input) => tools.feed(command, input, environment, signal),
    isUp: () => tools.isUp(signal),
    diskOf: (path) => tools.diskOf(path, signal),
    uninterrupted: () => serverOver({ ...parts, signal: new AbortController().signal }),
    withSignal: (other) => serverOver({ ...parts, signal: other }),
  };
}

async function* oneChunk(text: string): AsyncGenerator<Buffer> {
  yield Buffer.from(text);
}

/** Settings of a role or database that would cut a long session short or change what our SQL means. */
const sessionSettings = {
  search_path: 'pg_catalog',
  standard_conforming_strings: 'on',
  default_transaction_read_only: 'off',
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  client_min_messages: 'warning',
};

function environmentOf(applicationName: string, password: Secret | undefined): Record<string, string> {
  return {
    PGAPPNAME: applicationName,
    PGOPTIONS: Object.entries(sessionSettings)
      .map(([name, value]) => `-c ${name}=${value}`)
      .join(' '),
    LC_MESSAGES: 'C',
    ...(password ? { PGPASSWORD: password.reveal() } : {}),
  };
}

/** The SQLSTATE of an error that psql told of, for those who can go on from it. */
export class SqlError extends PkbackupError {
  readonly sqlState: string | undefined;

  constructor(message: string, sqlState: string | undefined, hint?: string) {
    super('failed', message, hint === undefined ? {} : { hint });
    this.sqlState = sqlState;
  }
}

const hintForAddress = 'check that the server runs, and host and port of this store, or its URL';

function psqlError(
  { exitCode, stderr, stdout }: Finished,
  database: string,
  place: string,
  user: string,
): PkbackupError {
  const where = `database "${database}" in ${place}`;
  if (exitCode === 126 || exitCode === 127) {
    const said = `${stdout.toString('utf8')} ${stderr}`.trim();
    return new PkbackupError(
      'failed',
      `there is no psql ${/^container/.test(place) ? 'in' : 'for'} ${place}: ${said}`,
      {
        hint: /^container/.test(place)
          ? 'name the container that runs the PostgreSQL server itself'
          : 'install the client programs of PostgreSQL, and say their directory with tools where they are not on the PATH',
      },
    );
  }
  const fatal = /FATAL:\s+(.*)/.exec(stderr)?.[1];
  if (
    fatal !== undefined &&
    /authentication failed|no password supplied|role ".*" does not exist/.test(fatal)
  ) {
    return new PkbackupError('config', `${where} refuses user "${user}": ${fatal}`, {
      hint: 'set user, and password_env or password_file, of this store in pkbackup.yaml',
    });
  }
  if (/no password supplied/.test(stderr)) {
    return new PkbackupError('config', `${where} wants a password of user "${user}"`, {
      hint: 'set password_env or password_file of this store in pkbackup.yaml',
    });
  }
  const unreached = /^psql: error: (?:connection to server|could not translate host name)/.test(stderr);
  const [, sqlState, message] = /(?:ERROR|FATAL):\s+(\w{5}): (.*)/.exec(stderr) ?? [];
  const detail = /DETAIL:\s+(.*)/.exec(stderr)?.[1];
  const said = message ?? fatal ?? stderr.trim().split('\n').slice(-3).join(' / ');
  const hint = unreached && fatal === undefined ? hintForAddress : undefined;
  return new SqlError(`${where}: ${said}${detail ? ` (${detail})` : ''}`, sqlState, hint);
}
