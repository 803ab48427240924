// A redis-cli that is connected and waits for the word to save: to start one takes longer than the server takes to fork.
import { throwIfAborted } from '../../docker/index.ts';
import { Conversation, type Speaker } from '../conversation.ts';

const pingDeadlineMs = 30_000;
const saveDeadlineMs = 60_000;
const started = '"Background saving started"';

export class SaveSession implements AsyncDisposable {
  readonly #cli: Conversation;

  constructor(cli: Conversation) {
    this.#cli = cli;
  }

  /** Undefined where there can be none: Docker behind a Windows pipe, a user who may not ping. */
  static async open(redisCli: Speaker): Promise<SaveSession | undefined> {
    const cli = new Conversation(redisCli);
    cli.say('PING\n');
    const said = await cli.hear(lineIn, pingDeadlineMs).catch(() => undefined);
    if (said === '"PONG"') return new SaveSession(cli);
    await cli[Symbol.asyncDispose]();
    throwIfAborted(redisCli.signal);
    return undefined;
  }

  /** Whether the server has begun to save; where it has not, who asks it otherwise is told why. */
  async save(): Promise<boolean> {
    this.#cli.say('BGSAVE\n');
    return (await this.#cli.hear(lineIn, saveDeadlineMs)) === started;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cli[Symbol.asyncDispose]();
  }
}

const lineIn = (text: string) => /^(.*?)\r?\n/.exec(text)?.[1];
