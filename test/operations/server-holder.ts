// A program that stops the server of a store until it is killed, or told to end by a line on its stdin.
// Arguments: repository, the store as JSON, and "swap" to be in the middle of a swap.
import process from 'node:process';
import { prepareServerHold, type ServedStore } from '../../src/operations/host-server.ts';
import { openRepository } from '../../src/repository/index.ts';

const [directory = '', text = '', how] = process.argv.slice(2);
const say = (line: string) => process.stdout.write(`${line}\n`);
const run = {
  repository: openRepository(directory),
  emit: (event: { type: string }) => say(event.type),
  signal: new AbortController().signal,
  environment: process.env,
};
const hold = await prepareServerHold(run, JSON.parse(text) as ServedStore);
say('prepared');
await hold?.hold();
const wait = async () => {
  say('ready');
  for await (const _ of process.stdin) break;
};
await (how === 'swap' ? hold?.whileSwapping(wait) : wait());
say(JSON.stringify(await hold?.release()));
process.exit(0);
