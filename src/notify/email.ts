// Messages by e-mail: plain text, to an SMTP server.

import { connect, type Socket } from 'node:net';
import { hostname } from 'node:os';
import { createTransport } from 'nodemailer';
import { messageOf } from '../errors.ts';
import { redactSecrets, type Secret } from '../secret.ts';
import { DeliveryError } from './delivery.ts';
import { type Message, textOf } from './message.ts';
import type { EmailTarget } from './targets.ts';

const mostBytes = 100_000;

/** Throws `DeliveryError`, with what the server answered. */
export async function sendEmail(
  target: EmailTarget,
  password: Secret | undefined,
  message: Message,
  signal: AbortSignal,
): Promise<void> {
  const { host, port, security, login } = target;
  // Our own connection: nodemailer has no signal, and whoever hangs is cut off by ending it.
  const socket = await connected(target, signal);
  const cut = () => socket.destroy(new Error('cut off'));
  signal.addEventListener('abort', cut, { once: true });
  try {
    const transport = createTransport({
      host,
      port,
      connection: socket,
      secure: security === 'tls',
      requireTLS: security === 'starttls',
      ignoreTLS: security === 'none',
      name: hostNameForMail(),
      ...(login && password ? { auth: { user: login.user, pass: password.reveal() } } : {}),
      disableFileAccess: true,
      disableUrlAccess: true,
    });
    const { rejected } = await transport.sendMail(mailOf(target, message));
    if (rejected.length > 0) {
      throw new DeliveryError(`it refuses ${rejected.join(', ')}`, { isFinal: true });
    }
  } catch (error) {
    signal.throwIfAborted();
    throw asDeliveryError(`${host}:${port}`, error);
  } finally {
    signal.removeEventListener('abort', cut);
    socket.destroy();
  }
}

function connected({ host, port }: EmailTarget, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    const fail = (error: unknown) => {
      socket.destroy();
      const why = messageOf(error instanceof AggregateError ? (error.errors[0] ?? error) : error);
      reject(new DeliveryError(`${host}:${port} cannot be reached: ${why}`, { cause: error }));
    };
    const late = () => fail(new Error('no answer'));
    signal.addEventListener('abort', late, { once: true });
    socket.once('error', fail);
    socket.once('connect', () => {
      signal.removeEventListener('abort', late);
      socket.off('error', fail);
      // From here on nodemailer listens; between the two nobody would.
      socket.on('error', () => undefined);
      resolve(socket);
    });
  });
}

function mailOf({ to, from }: EmailTarget, message: Message) {
  const tail = message.lastLines.length === 0 ? [] : ['', 'The last lines of the run:', ...message.lastLines];
  return {
    from: from ?? `pkbackup@${hostNameForMail()}`,
    to: [...to],
    subject: message.title,
    text: `${textOf([...message.lines, ...tail], mostBytes)}\n`,
    // RFC 3834: nobody answers it with a note that they are on holiday.
    headers: { 'Auto-Submitted': 'auto-generated', 'X-Pkbackup-Outcome': message.outcome },
  };
}

function hostNameForMail(): string {
  const name = hostname().replace(/[^A-Za-z0-9.-]/g, '');
  return name === '' ? 'localhost' : name;
}

function asDeliveryError(server: string, error: unknown): DeliveryError {
  if (error instanceof DeliveryError)
    return new DeliveryError(`${server}: ${error.message}`, { isFinal: true });
  const code = error instanceof Error && 'responseCode' in error ? Number(error.responseCode) : 0;
  // RFC 5321: 5yz is for good, 4yz is for now.
  const isFinal = code >= 500 || (error instanceof Error && 'code' in error && error.code === 'EAUTH');
  const why = redactSecrets(messageOf(error)).replace(/\s+/g, ' ').slice(0, 300);
  return new DeliveryError(`${server}: ${why}`, { isFinal, cause: error });
}
