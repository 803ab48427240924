// A PostgreSQL server inside its container, asked through its own psql, pg_dump and pg_restore: those always match it.
// Passwords go by the environment of exec; what holds hashes or settings goes by stdin, never by argv.
import { randomBytes } from 'node:crypto';
import { encodeEntry, endOfArchive, padding } from '../../archive/tar-format.ts';
import type { Container, Docker, Finished } from '../../docker/index.ts';
import { PkbackupError } from '../../errors.ts';
import { readSecret, Secret } from '../../secret.ts';
import type { StoreContext } from '../store.ts';
import { conninfo } from './sql.ts';

export interface ServerTarget {
  readonly container: string;
  readonly user?: string | undefined;
  readonly password_env?: string | undefined;
  readonly password_file?: string | undefined;
}

export type Command = readonly [string, ...string[]];

export interface Server {
  readonly docker: Docker;
  readonly container: Container;
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
  /**
   * stdout of a tool; throws at the end unless it was whole and the exit code is 0. `stdin` not over Windows pipes: see
   * `isWindowsPipe`.
   */
  stream(command: Command, stdin?: AsyncIterable<Buffer>): AsyncGenerator<Buffer>;
  /** Runs a tool with `input` at its stdin; throws unless the exit code is 0. */
  feed(command: Command, input: AsyncIterable<Buffer>): Promise<Buffer>;
  /** The same server for work that must go on after an interruption. */
  uninterrupted(): Server;
  /** The same server for work that something else breaks off. */
  withSignal(signal: AbortSignal): Server;
}

/** Throws `not_found`, `ambiguous`, or `failed` where it does not run. */
export async function openServer(target: ServerTarget, context: StoreContext): Promise<Server> {
  const docker = await context.docker();
  const container = await docker.findContainer(target.container, { signal: context.signal });
  refuseNotRunning(container);
  const configured = await readSecret(
    { env: target.password_env, file: target.password_file },
    context.environment,
  );
  // The official image takes POSTGRES_USER as its superuser; a role "postgres" need not exist then.
  const superuser = container.env.POSTGRES_USER || 'postgres';
  const user = target.user ?? superuser;
  // Mostly none is asked for inside the container; where one is, it is that of our environment, or the superuser's own.
  const own = user === superuser ? container.env.POSTGRES_PASSWORD : undefined;
  const usual = context.environment.POSTGRES_PASSWORD || own;
  const password = configured ?? (usual ? new Secret(usual) : undefined);
  const applicationName = `pkbackup-${randomBytes(4).toString('hex')}`;
  const environment = environmentOf(applicationName, password);
  return serverOver({ docker, container, user, applicationName, environment, signal: context.signal });
}

interface Parts extends Pick<Server, 'docker' | 'container' | 'user' | 'applicationName' | 'signal'> {
  readonly environment: Readonly<Record<string, string>>;
}

function serverOver(parts: Parts): Server {
  const { docker, container, user, applicationName, environment, signal } = parts;
  const psql = (database: string, ...more: string[]): Command => [
    'psql',
    '--no-psqlrc',
    '--no-password',
    '--quiet',
    '--tuples-only',
    '--no-align',
    '--set=ON_ERROR_STOP=1',
    `--username=${user}`,
    `--dbname=${conninfo(database)}`,
    ...more,
  ];
  const psqlEnvironment = { ...environment, PGCLIENTENCODING: 'UTF8' };
  const run = async (database: string, statements: readonly string[]): Promise<Finished> => {
    const command = psql(database, '--set=VERBOSITY=verbose', ...statements.map((sql) => `--command=${sql}`));
    const finished = await docker.exec(container.id, { command, env: psqlEnvironment, signal });
    if (finished.exitCode !== 0) throw psqlError(finished, database, container, user);
    return finished;
  };
  return {
    docker,
    container,
    user,
    applicationName,
    signal,
    async value(database, sql) {
      return (await run(database, [sql])).stdout.toString('utf8').replace(/\n$/, '');
    },
    async execute(database, ...statements) {
      await run(database, statements);
    },
    async script(database, sql) {
      // Terse, because else an error shows the line it is in.
      const output = await feed(
        parts,
        psql(database, '--set=VERBOSITY=terse', '--file=-'),
        [Buffer.from(sql)],
        psqlEnvironment,
      );
      return output.toString('utf8').split('\n').filter(Boolean);
    },
    stream: (command, stdin) =>
      docker.execStream(container.id, { command, env: environment, signal, ...(stdin ? { stdin } : {}) }),
    feed: (command, input) => feed(parts, command, input, environment),
    uninterrupted: () => serverOver({ ...parts, signal: new AbortController().signal }),
    withSignal: (other) => serverOver({ ...parts, signal: other }),
  };
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

async function feed(
  parts: Parts,
  command: Command,
  input: AsyncIterable<Buffer> | Iterable<Buffer>,
  env: Readonly<Record<string, string>>,
): Promise<Buffer> {
  const { docker, container, signal } = parts;
  const chunks = toAsync(input);
  if (!isWindowsPipe(docker)) {
    return gather(docker.execStream(container.id, { command, env, signal, stdin: chunks }));
  }
  const path = await putFile(parts, chunks);
  try {
    const [program, ...args] = command;
    const withFile = args.includes('--file=-')
      ? args.map((arg) => (arg === '--file=-' ? `--file=${path}` : arg))
      : [...args, path];
    return await gather(docker.execStream(container.id, { command: [program, ...withFile], env, signal }));
  } finally {
    await docker.exec(container.id, { command: ['rm', '-f', path] }).catch(() => undefined);
  }
}

async function* toAsync(input: AsyncIterable<Buffer> | Iterable<Buffer>): AsyncGenerator<Buffer> {
  yield* input;
}

async function gather(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

/** They cannot be closed at one end, so a tool would wait for ever for the end of its stdin. */
export function isWindowsPipe(docker: Docker): boolean {
  return docker.url.startsWith('npipe:');
}

const pieceBytes = 64 * 1024 * 1024;

/** In pieces, because the Engine locks the container while it takes one, and health checks wait. */
async function putFile(parts: Parts, input: AsyncIterable<Buffer>): Promise<string> {
  const { docker, container, signal } = parts;
  const name = `pkbackup-${randomBytes(8).toString('hex')}`;
  const uid = Number((await runTool(parts, ['id', '-u'])).stdout.toString('utf8'));
  const put = async (file: string, bytes: Buffer) => {
    const path = Buffer.from(file);
    const size = bytes.length;
    const entry = { path, type: 'file', size, mode: 0o600, uid, gid: 0, mtime: 0 } as const;
    const tar = [encodeEntry(entry), bytes, padding(size), endOfArchive];
    await docker.writeArchive(container.id, '/tmp', toAsync(tar), { signal });
  };
  await put(name, Buffer.alloc(0));
  try {
    for await (const piece of inPieces(input, pieceBytes)) {
      await put(`${name}.piece`, piece);
      await runTool(parts, ['sh', '-c', 'cat "$0" >>"$1" && rm "$0"', `/tmp/${name}.piece`, `/tmp/${name}`]);
    }
  } catch (error) {
    const command: Command = ['rm', '-f', `/tmp/${name}`, `/tmp/${name}.piece`];
    await docker.exec(container.id, { command }).catch(() => undefined);
    throw error;
  }
  return `/tmp/${name}`;
}

async function* inPieces(input: AsyncIterable<Buffer>, bytes: number): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of input) {
    parts.push(chunk);
    size += chunk.length;
    if (size < bytes) continue;
    yield Buffer.concat(parts);
    parts = [];
    size = 0;
  }
  if (size > 0) yield Buffer.concat(parts);
}

async function runTool({ docker, container, signal }: Parts, command: Command): Promise<Finished> {
  const finished = await docker.exec(container.id, { command, signal });
  if (finished.exitCode === 0) return finished;
  throw new PkbackupError(
    'failed',
    `run "${command[0]}" in container "${container.name}": exit code ${finished.exitCode}: ${finished.stderr.trim()}`,
  );
}

function refuseNotRunning(container: Container): void {
  if (container.state === 'running') return;
  const hint =
    container.state === 'paused' ? `docker unpause ${container.name}` : `docker start ${container.name}`;
  throw new PkbackupError(
    'failed',
    `container "${container.name}" is not running (${container.state}): PostgreSQL can only be asked while it runs`,
    { hint },
  );
}

/** The SQLSTATE of an error that psql told of, for those who can go on from it. */
export class SqlError extends PkbackupError {
  readonly sqlState: string | undefined;

  constructor(message: string, sqlState: string | undefined, hint?: string) {
    super('failed', message, hint === undefined ? {} : { hint });
    this.sqlState = sqlState;
  }
}

function psqlError(
  { exitCode, stderr, stdout }: Finished,
  database: string,
  container: Container,
  user: string,
): PkbackupError {
  const where = `database "${database}" in container "${container.name}"`;
  if (exitCode === 126 || exitCode === 127) {
    const said = `${stdout.toString('utf8')} ${stderr}`.trim();
    return new PkbackupError('failed', `there is no psql in container "${container.name}": ${said}`, {
      hint: 'name the container that runs the PostgreSQL server itself',
    });
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
  const [, sqlState, message] = /(?:ERROR|FATAL):\s+(\w{5}): (.*)/.exec(stderr) ?? [];
  const detail = /DETAIL:\s+(.*)/.exec(stderr)?.[1];
  const said = message ?? fatal ?? stderr.trim().split('\n').slice(-3).join(' / ');
  return new SqlError(`${where}: ${said}${detail ? ` (${detail})` : ''}`, sqlState);
}
