// A cypher-shell that has started, has connected and waits for its questions: to start one takes seconds. It reads all of
// its input before it does any of it, so what it reads first asks one thing, and then for a file: what we say later.
import { messageOf, PkbackupError } from '../../errors.ts';
import { readUntil } from '../read-until.ts';
import { cypherShell, loggedIn, type Neo4jServer, parseTables, type Row } from './server.ts';

export interface Session {
  /** Once. Throws where the answers take longer than `deadlineMs`. */
  ask(statements: readonly string[], deadlineMs: number): Promise<Row[]>;
  /** Ends it, whatever it does. */
  close(): Promise<void>;
}

const openDeadlineMs = 120_000;
const first = `RETURN 'pkbackup is ready' AS said;\n:source /dev/fd/3`;
const isReady = (text: string) => /^"pkbackup is ready"\r?\n/m.test(text) || undefined;
const last = `RETURN 'pkbackup has asked' AS said`;
const answersIn = (text: string) => (/^"pkbackup has asked"\r?\n/m.test(text) ? text : undefined);
/** Through a pipe of its own: to open the one that Docker has made may not be allowed. */
const script = `cat | { exec 3<&0; printf '%s\\n' "$0" | "$@"; }`;

/** Throws as `ask` of a server does. */
export async function openSession(server: Neo4jServer, database: string): Promise<Session> {
  const { docker, container } = server;
  return await loggedIn(server, async (env) => {
    const told = Promise.withResolvers<readonly string[]>();
    async function* questions(): AsyncGenerator<Buffer> {
      for (const statement of await told.promise) yield Buffer.from(`${statement};\n`);
    }
    const late = new AbortController();
    const output = docker.execStream(container.id, {
      command: ['sh', '-c', script, first, ...cypherShell(database)],
      env,
      signal: AbortSignal.any([server.signal, late.signal]),
      stdin: questions(),
    });
    const read = async <Found>(find: (text: string) => Found | undefined, deadlineMs: number) => {
      const timer = setTimeout(() => late.abort(tooLate(deadlineMs)), deadlineMs);
      return await readUntil(output, find, ended).finally(() => clearTimeout(timer));
    };
    const close = async () => {
      told.resolve([]);
      await output.return(undefined);
    };
    try {
      await read(isReady, openDeadlineMs);
    } catch (error) {
      await close();
      return { refusal: messageOf(error) };
    }
    return {
      answer: {
        async ask(statements, deadlineMs) {
          told.resolve([...statements, last]);
          return parseTables(await read(answersIn, deadlineMs));
        },
        close,
      },
    };
  });
}

const ended = () => new PkbackupError('failed', 'cypher-shell has ended');

function tooLate(deadlineMs: number): PkbackupError {
  return new PkbackupError('failed', `cypher-shell has not answered after ${deadlineMs / 1000} s`);
}
