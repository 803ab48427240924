// A cypher-shell that has started, has connected and waits for its questions: to start one takes seconds. It reads all of
// its input before it does any of it, so what it reads first asks one thing, and then for a file: what we say later.
import { messageOf } from '../../errors.ts';
import { Conversation, type Speaker } from '../conversation.ts';
import { cypherShell, loggedIn, type Neo4jServer, parseTables, type Row } from './server.ts';

export interface Session extends AsyncDisposable {
  /** Once. Throws where the answers take longer than `deadlineMs`. */
  ask(statements: readonly string[], deadlineMs: number): Promise<Row[]>;
}

const openDeadlineMs = 120_000;
const first = `RETURN 'pkbackup is ready' AS said;\n:source /dev/fd/3`;
const isReady = (text: string) => /^"pkbackup is ready"\r?\n/m.test(text) || undefined;
const last = `RETURN 'pkbackup has asked' AS said`;
const answersIn = (text: string) => (/^"pkbackup has asked"\r?\n/m.test(text) ? text : undefined);
const script = `exec 3<&0; printf '%s\\n' "$0" | "$@"`;

/** Throws as `ask` of a server does. */
export async function openSession(
  server: Neo4jServer,
  place: Pick<Speaker, 'docker' | 'id'>,
  database: string,
): Promise<Session> {
  const { tools, signal } = server;
  const shell = cypherShell(tools, database);
  const speaker = { name: shell[0], signal, ...place } as const;
  return await loggedIn(server, async (env) => {
    const talk = new Conversation({ ...speaker, command: ['sh', '-c', script, first, ...shell], env });
    try {
      await talk.hear(isReady, openDeadlineMs);
    } catch (error) {
      await talk[Symbol.asyncDispose]();
      return { refusal: messageOf(error) };
    }
    const session: Session = {
      async ask(statements, deadlineMs) {
        talk.say([...statements, last].map((statement) => `${statement};\n`).join(''));
        talk.fallSilent();
        return parseTables(await talk.hear(answersIn, deadlineMs));
      },
      [Symbol.asyncDispose]: () => talk[Symbol.asyncDispose](),
    };
    return { answer: session };
  });
}
