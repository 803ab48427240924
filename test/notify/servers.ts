// Servers that messages are sent to: real ones of Node, which write down what comes, and behave as badly as they are told to.
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';

export interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** `hang` never answers, `drop` ends the connection, `drip` answers without an end; a number is the status. */
export type Answer =
  | number
  | 'hang'
  | 'drop'
  | 'drip'
  | { status: number; headers?: Record<string, string>; body?: string };

export interface HttpServer extends AsyncDisposable {
  readonly port: number;
  readonly received: Received[];
}

/** The answers in their order; the last one stays. */
export async function httpServer(...answers: Answer[]): Promise<HttpServer> {
  const received: Received[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += chunk;
    const { method = '', url = '', headers } = request;
    received.push({ method, url, headers, body });
    const answer = answers[Math.min(received.length, answers.length) - 1] ?? 200;
    if (answer === 'drop') request.socket.destroy();
    else if (answer === 'drip') response.writeHead(500).write('x');
    else if (typeof answer === 'number') response.writeHead(answer).end();
    else if (answer !== 'hang') response.writeHead(answer.status, answer.headers).end(answer.body);
  });
  const port = await listening(server);
  return {
    port,
    received,
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

export interface SmtpServer extends AsyncDisposable {
  readonly port: number;
  /** What was said to it, without the lines of mails. */
  readonly commands: string[];
  readonly mails: string[];
}

type SmtpAnswers = Readonly<Record<string, string>>;

/**
 * As much of RFC 5321 as it takes to accept a mail, or to fail as it is told to: `answers` by command, instead of the usual
 * ones; `hang` and `drop` are none.
 */
export async function smtpServer(answers: SmtpAnswers = {}): Promise<SmtpServer> {
  const commands: string[] = [];
  const mails: string[] = [];
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    converse(socket, answers, commands, mails);
  });
  const port = await listening(server);
  return {
    port,
    commands,
    mails,
    [Symbol.asyncDispose]: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

const usual: SmtpAnswers = { connect: '220 test', data: '354 go on', end: '250 taken', quit: '221 bye' };

function converse(socket: Socket, answers: SmtpAnswers, commands: string[], mails: string[]): void {
  const say = (command: string) => {
    const answer = answers[command] ?? usual[command] ?? '250 fine';
    if (answer === 'drop') socket.destroy();
    else if (answer !== 'hang') socket.write(`${answer}\r\n`);
  };
  let mail: string[] | undefined;
  let rest = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\r\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (mail && line === '.') {
        mails.push(mail.join('\n'));
        mail = undefined;
        say('end');
      } else if (mail) mail.push(line);
      else {
        commands.push(line);
        const command = line.split(/[ :]/)[0]?.toLowerCase() ?? '';
        if (command === 'data') mail = [];
        say(command);
      }
    }
  });
  say('connect');
}

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
