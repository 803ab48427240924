// A FalkorDB server, asked by redis-cli: that of its own container, or that of this host. The password goes by the
// environment of the command, never by its arguments.
import { type Finished, sleep } from '../../docker/index.ts';
import { PkbackupError } from '../../errors.ts';
import type { Secret } from '../../secret.ts';
import type { Counts } from '../../words.ts';
import type { Speaker } from '../conversation.ts';
import { SaveSession } from './save-session.ts';

export interface FalkordbServer {
  /** For people: `the server in container "graph"`, `the server at 127.0.0.1:6379`. */
  readonly where: string;
  /** What tells more, for people: `docker logs graph`, `its log`. */
  readonly itsLog: string;
  /** Where there is no redis-cli. */
  noClient(): PkbackupError;
  readonly user: string | undefined;
  readonly password: Secret | undefined;
  readonly signal: AbortSignal;
  /** redis-cli, whatever its exit code; 127 where there is none. */
  run(
    args: readonly string[],
    env: Readonly<Record<string, string>>,
    how: { deadlineMs: number; signal: AbortSignal },
  ): Promise<Finished>;
  /** The same, to be told something later; missing where there is no such way. */
  readonly converse?: (args: readonly string[], env: Readonly<Record<string, string>>) => Speaker;
}

/** As whom, in the words of the configuration. */
export interface Credentials {
  readonly user?: string | undefined;
  readonly password_env?: string | undefined;
  readonly password_file?: string | undefined;
}

export interface DataFiles {
  /** As the server sees it; resolved, so no link. */
  readonly directory: string;
  readonly dump: string;
  /** A server with this on loads its log and ignores the dump. */
  readonly appendOnly: boolean;
  readonly appendDirectory: string;
  readonly appendFile: string;
}

export interface Versions {
  readonly redis: string;
  /** `4.16.3`; undefined where the graph module is not loaded. */
  readonly falkordb: string | undefined;
}

const commandDeadlineMs = 60_000;
const saveDeadlineMs = 30 * 60_000;
const queryTimeoutMs = 60_000;
/** How long writers wait at most when pkbackup dies between the save and the stop. */
const freezeMs = 60_000;

/** The answer as JSON gives it. Errors of the server are thrown, and never hold the password. */
export async function ask(
  server: FalkordbServer,
  command: readonly string[],
  options: { deadlineMs?: number; database?: number } = {},
): Promise<unknown> {
  const { signal } = server;
  const { options: common, env } = redisCli(server);
  const database = options.database === undefined ? [] : ['-n', String(options.database)];
  const args = [...common, ...database, ...command];
  const deadlineMs = options.deadlineMs ?? commandDeadlineMs;
  const { exitCode, stdout, stderr } = await server.run(args, env, { deadlineMs, signal });
  const text = stdout.toString('utf8');
  if (exitCode !== 0) throw refusal(server, command, exitCode, stderr || text);
  // redis-cli gives some texts (INFO) as they are, whatever the format.
  if (text.startsWith('#')) return text;
  try {
    return JSON.parse(text);
  } catch (cause) {
    const message = `${server.where} answered ${command[0]} with what is not JSON`;
    throw new PkbackupError('failed', message, { cause });
  }
}

/** Of every call. */
export function redisCli({ user, password }: Pick<FalkordbServer, 'user' | 'password'>): {
  options: string[];
  env: Record<string, string>;
} {
  return {
    options: ['-e', '--json', ...(user === undefined ? [] : ['--user', user])],
    env: password === undefined ? {} : { REDISCLI_AUTH: password.reveal() },
  };
}

function refusal(
  server: FalkordbServer,
  [verb = '']: readonly string[],
  exitCode: number,
  said: string,
): PkbackupError {
  const who = server.where;
  if (/WRONGPASS/.test(said)) {
    return new PkbackupError('config', `${who} refuses the password`, {
      hint: 'set password_env (and user, for a user of an ACL) of this store to what the server was started with',
    });
  }
  if (/NOAUTH/.test(said)) {
    return new PkbackupError('config', `${who} asks for a password, and none is configured`, {
      hint: 'set password_env of this store, for example: password_env: FALKORDB_PASSWORD',
    });
  }
  if (/NOPERM/.test(said)) {
    return new PkbackupError('config', `${who} does not let this user run ${verb}`, {
      hint: 'allow it INFO, CONFIG GET, MODULE, SAVE, BGSAVE, CLIENT, GRAPH.LIST and GRAPH.RO_QUERY on every key',
    });
  }
  if (/LOADING/.test(said)) {
    return new PkbackupError('unhealthy', `${who} is still loading its data`, {
      hint: 'try again when it is ready',
    });
  }
  if (exitCode === 126 || exitCode === 127) return server.noClient();
  const lines = said.trim().split('\n');
  const line = lines.findLast((each) => !/^(AUTH|HELLO 3) failed/.test(each)) ?? `exit code ${exitCode}`;
  const unreached = /^Could not connect to Redis at .*?: (?<why>[^:]+)$/.exec(line)?.groups?.why;
  if (unreached !== undefined) {
    return new PkbackupError('unhealthy', `${who} cannot be reached: ${unreached}`, {
      hint: 'check that it runs, and how this store says that it is reached',
    });
  }
  const code = /Could not connect/.test(line) ? 'unhealthy' : 'failed';
  return new PkbackupError(code, `${who} answered ${verb}: ${line.slice(0, 300)}`);
}

/** A map; or its keys and values in turn, as redis-cli gives it after a password that the server did not want. */
function fieldsOf(answer: unknown): Record<string, unknown> {
  if (!Array.isArray(answer)) return { ...(answer as object) };
  return Object.fromEntries(
    answer.flatMap((name, index) => (index % 2 === 0 ? [[String(name), answer[index + 1]]] : [])),
  );
}

export type Info = ReadonlyMap<string, string>;

export async function readInfo(server: FalkordbServer): Promise<Info> {
  const lines = String(await ask(server, ['INFO'])).split(/\r?\n/);
  return new Map(
    lines.flatMap((line): [string, string][] => {
      const colon = line.indexOf(':');
      return colon > 0 ? [[line.slice(0, colon), line.slice(colon + 1)]] : [];
    }),
  );
}

/** Keys of every database. */
export function keysIn(info: Info): { database: number; keys: number }[] {
  return [...info].flatMap(([name, value]) => {
    const database = /^db(\d+)$/.exec(name)?.[1];
    return database === undefined
      ? []
      : [{ database: Number(database), keys: Number(/keys=(\d+)/.exec(value)?.[1]) }];
  });
}

export async function readDataFiles(server: FalkordbServer): Promise<DataFiles> {
  const wanted = ['dir', 'dbfilename', 'appendonly', 'appenddirname', 'appendfilename'];
  const config = fieldsOf(await ask(server, ['CONFIG', 'GET', ...wanted]));
  const { dir, dbfilename } = config;
  if (!dir || !dbfilename) {
    throw new PkbackupError('failed', `${server.where} does not say where its data lies (CONFIG GET dir)`);
  }
  return {
    directory: String(dir),
    dump: String(dbfilename),
    appendOnly: config.appendonly === 'yes',
    appendDirectory: String(config.appenddirname || 'appendonlydir'),
    appendFile: String(config.appendfilename || 'appendonly.aof'),
  };
}

export async function readVersions(server: FalkordbServer, info: Info): Promise<Versions> {
  const modules = (await ask(server, ['MODULE', 'LIST'])) as unknown[];
  const version = modules.map(fieldsOf).find(({ name }) => name === 'graph')?.ver;
  const graph = version === undefined ? undefined : Number(version);
  return {
    redis: info.get('redis_version') ?? 'unknown',
    falkordb:
      graph === undefined
        ? undefined
        : `${Math.floor(graph / 10_000)}.${Math.floor(graph / 100) % 100}.${graph % 100}`,
  };
}

export async function listGraphs(server: FalkordbServer): Promise<string[]> {
  return (await ask(server, ['GRAPH.LIST'])) as string[];
}

/** Rows are never asked for: the server cuts them off at RESULTSET_SIZE without a word. */
export async function countGraphs(
  server: FalkordbServer,
  graphs: readonly string[],
  databases: readonly number[],
): Promise<Counts> {
  const counts = { graphs: graphs.length, nodes: 0, edges: 0 };
  for (const graph of graphs) {
    counts.nodes += await count(server, graph, 'MATCH (n) RETURN count(n)', databases);
    counts.edges += await count(server, graph, 'MATCH ()-[e]->() RETURN count(e)', databases);
  }
  return counts;
}

async function count(
  server: FalkordbServer,
  graph: string,
  query: string,
  databases: readonly number[],
): Promise<number> {
  const answer = await askGraph(server, graph, query, databases, queryTimeoutMs);
  return Number((answer as [unknown, [[number]]])[1][0][0]);
}

/** GRAPH.LIST tells the graphs of all databases, but not in which one each is. */
export async function askGraph(
  server: FalkordbServer,
  graph: string,
  query: string,
  databases: readonly number[],
  timeoutMs: number,
): Promise<unknown> {
  for (const [index, database] of databases.entries()) {
    try {
      const command = ['GRAPH.RO_QUERY', graph, query, 'TIMEOUT', String(timeoutMs)];
      return await ask(server, command, { database, deadlineMs: 2 * queryTimeoutMs });
    } catch (error) {
      const isElsewhere = error instanceof PkbackupError && /empty key/.test(error.message);
      if (!isElsewhere || index === databases.length - 1) throw error;
    }
  }
  throw new PkbackupError('failed', `there is no database to look for graph "${graph}" in`);
}

/**
 * A save that began after the call, done and good. A save that is under way already may have begun before the last write,
 * so it is waited for and another one made. `rdb_saves` counts; LASTSAVE cannot tell two saves of one second apart.
 * `onForked` is called when the server has begun: what is written from then on is not in the dump.
 * Gives the server's time at the call, in seconds.
 */
export async function saveInBackground(
  server: FalkordbServer,
  { beforeFork, onForked }: { beforeFork?: () => Promise<void>; onForked?: () => Promise<void> } = {},
): Promise<number> {
  const { options, env } = redisCli(server);
  // Others wait for it.
  const speaker = beforeFork && server.converse?.(options, env);
  await using session = speaker && (await SaveSession.open(speaker));
  const giveUpAt = performance.now() + saveDeadlineMs;
  for (;;) {
    const before = await untilIdle(server, giveUpAt);
    await beforeFork?.();
    try {
      if (!(await session?.save())) await ask(server, ['BGSAVE']);
    } catch (error) {
      if (isBusy(error)) continue;
      throw error;
    }
    await onForked?.();
    const after = await untilIdle(server, giveUpAt);
    if (after.get('rdb_last_bgsave_status') !== 'ok' || savesOf(after) <= savesOf(before))
      throw saveFailed(server);
    return Math.floor(Number(before.get('server_time_usec')) / 1e6);
  }
}

/**
 * Everything in the dump, and nothing acknowledged after it: writers wait until the stop that follows (images before
 * 4.10 lose at every stop what came after the last save, because the server does not see SIGTERM).
 */
export async function saveAndFreeze(server: FalkordbServer): Promise<void> {
  const giveUpAt = performance.now() + saveDeadlineMs;
  try {
    for (;;) {
      await untilIdle(server, giveUpAt);
      await freeze(server);
      try {
        await ask(server, ['SAVE'], { deadlineMs: saveDeadlineMs });
        break;
      } catch (error) {
        if (isBareError(error)) throw saveFailed(server, 'SAVE');
        if (!isBusy(error)) throw error;
      }
      await thaw(server);
    }
    await freeze(server);
  } catch (error) {
    await thaw(server).catch(() => undefined);
    throw error;
  }
}

async function freeze(server: FalkordbServer): Promise<void> {
  await ask(server, ['CLIENT', 'PAUSE', String(freezeMs), 'WRITE']);
}

/** Lets writers go on; also after the operation was interrupted. */
export async function thaw(server: FalkordbServer): Promise<void> {
  await ask({ ...server, signal: new AbortController().signal }, ['CLIENT', 'UNPAUSE'], {
    deadlineMs: 10_000,
  });
}

const savesOf = (info: Info): number => Number(info.get('rdb_saves') ?? Number.NaN);

/** Another save or a rewrite of the log began between our look and our call. */
const isBusy = (error: unknown): boolean =>
  error instanceof PkbackupError && /already in progress|child process is active/.test(error.message);

/** All that Redis answers to a SAVE that failed; why, only its log says. */
const isBareError = (error: unknown): boolean =>
  error instanceof PkbackupError && /answered SAVE: (ERR|\(error\) ERR)?$/.test(error.message);

async function untilIdle(server: FalkordbServer, giveUpAt: number): Promise<Info> {
  for (let waitMs = 50; ; waitMs = Math.min(1000, waitMs * 1.5)) {
    const info = await readInfo(server);
    if (Number.isNaN(savesOf(info))) {
      throw new PkbackupError(
        'failed',
        `${server.where} does not count its saves: expected Redis 7 or later`,
      );
    }
    if (info.get('rdb_bgsave_in_progress') === '0' && info.get('aof_rewrite_in_progress') === '0')
      return info;
    if (performance.now() > giveUpAt) {
      throw new PkbackupError(
        'failed',
        `${server.where} has been saving for ${saveDeadlineMs / 60_000} minutes`,
        {
          hint: `see ${server.itsLog}`,
        },
      );
    }
    await sleep(waitMs, server.signal);
  }
}

function saveFailed(server: FalkordbServer, command = 'BGSAVE'): PkbackupError {
  return new PkbackupError('failed', `${server.where} could not save its data (${command})`, {
    hint: `see ${server.itsLog}: no memory for the fork (vm.overcommit_memory), or no space?`,
  });
}
