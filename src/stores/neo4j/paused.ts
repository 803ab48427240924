// A server that is paused for its copy: what it has acknowledged is in its log, and its store files lag behind, so that to
// count in them would tell less than there is. What counts is what it says itself, right before the pause and in no time;
// and that only where the log shows that nobody has written since.
import { type Docker, throwIfAborted } from '../../docker/index.ts';
import { messageOf } from '../../errors.ts';
import type { Counts } from '../../words.ts';
import type { Look, StoreContext } from '../store.ts';
import { dataPath, openReadyPlace, type ReadyPlace } from '../volume-place.ts';
import type { Data, Neo4jTarget } from './data.ts';
import type { StoreCounter } from './records.ts';
import { askedAtIn, askedAtStatement } from './samples.ts';
import { type Answers, countStatements, countsIn, databaseOfSystem, type Row, serverOf } from './server.ts';
import { openSession, type Session } from './session.ts';

/** Clients may wait meanwhile; a count less is no harm. */
const answerDeadlineMs = 500;
/** The kernel's times of files are those of its last tick, so they may be a little early. */
const tickMs = 20;

/** All that takes time, from before anybody is held. */
export class ReadyNeo4j implements AsyncDisposable {
  readonly place: ReadyPlace;
  readonly #docker: Docker;
  readonly #sessions: ReadonlyMap<string, Session>;
  #answers: Answers = new Map();

  constructor(docker: Docker, place: ReadyPlace, sessions: ReadonlyMap<string, Session>) {
    this.#docker = docker;
    this.place = place;
    this.#sessions = sessions;
  }

  /** The answers are kept for `countsOf`. */
  async ask(context: StoreContext): Promise<void> {
    try {
      const asking = [...this.#sessions].map(async ([database, session]): Promise<[string, Row[]]> => {
        const statements = [askedAtStatement, ...countStatements];
        return [database, await session.ask(statements, answerDeadlineMs)];
      });
      this.#answers = new Map(await Promise.all(asking));
    } catch (error) {
      throwIfAborted(context.signal);
      tellUncounted(context, messageOf(error));
    }
  }

  /** What the server has said, if that is true of these files; they MUST be still. */
  async countsOf(files: StoreCounter, context: StoreContext): Promise<Counts | undefined> {
    if (this.#answers.size === 0) return undefined;
    const asked = [...this.#answers].map(async ([database, rows]) => {
      const writing = files.logsOf(database).map((log) => this.#writtenAtMs(log, context.signal));
      return isOlderThan(rows, await Promise.all(writing));
    });
    if ((await Promise.all(asked)).every((isTrue) => isTrue)) return countsIn(this.#answers);
    tellUncounted(context, 'somebody has written between the question and the pause');
    return undefined;
  }

  /** The tar says it in seconds. */
  async #writtenAtMs(name: string, signal: AbortSignal): Promise<number> {
    const { helper, place } = this.place;
    const stat = await this.#docker.pathStat(helper.id, `${dataPath(place)}/${name}`, { signal });
    return stat?.mtime.getTime() ?? Number.NaN;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#sessions.values()].map((session) => session[Symbol.asyncDispose]()));
    await this.place[Symbol.asyncDispose]();
  }
}

/** Whether nobody has written to the logs since the question, and not in the same tick. */
export function isOlderThan(answers: readonly Row[], logTimesMs: readonly number[]): boolean {
  return logTimesMs.length > 0 && logTimesMs.every((time) => time + tickMs < askedAtIn(answers));
}

export async function openReadyNeo4j(
  docker: Docker,
  target: Neo4jTarget,
  data: Data,
  look: Look,
  context: StoreContext,
): Promise<ReadyNeo4j> {
  const [place, sessions] = await Promise.all([
    openReadyPlace(docker, data.place, context),
    openSessions(docker, target, data, look, context),
  ]);
  return new ReadyNeo4j(docker, place, sessions);
}

/** A backup without counts is one all the same. */
async function openSessions(
  docker: Docker,
  target: Neo4jTarget,
  { container }: Data,
  { databases = [] }: Look,
  context: StoreContext,
): Promise<ReadonlyMap<string, Session>> {
  if (context.quiesce !== 'pause' || container?.state !== 'running') return new Map();
  const server = await serverOf(docker, container, target, context);
  const names = databases.filter((name) => name !== databaseOfSystem);
  const opening = names.map(
    async (name): Promise<[string, Session]> => [
      name,
      await openSession(server, { docker, id: container.id }, name),
    ],
  );
  const opened = await Promise.allSettled(opening);
  const sessions = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const failed = opened.find((one) => one.status === 'rejected');
  if (!failed) return new Map(sessions);
  await Promise.all(sessions.map(([, session]) => session[Symbol.asyncDispose]()));
  throwIfAborted(context.signal);
  tellUncounted(context, messageOf(failed.reason));
  return new Map();
}

function tellUncounted({ emit, store }: StoreContext, why: string): void {
  emit({ type: 'step', store, message: `nothing was counted: ${why}` });
}
