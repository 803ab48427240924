// A program that holds the users of a volume still until it is killed, or told to end by a line on its stdin.
// Arguments: volume, pause or stop, journal directory, seconds of grace.
import process from 'node:process';
import { connectDocker } from '../../src/docker/index.ts';
import { type Hold, type HoldOptions, holdStill } from '../../src/quiesce/index.ts';

const [volume = '', mode = '', journalDirectory = '', grace = '60'] = process.argv.slice(2);
const say = (line: string) => process.stdout.write(`${line}\n`);
const controller = new AbortController();
process.on('SIGINT', () => controller.abort());

say('starting');
const docker = await connectDocker(process.env);
const hold = await heldStill({
  docker,
  volumes: [volume],
  quiesce: mode === 'pause' ? 'pause' : 'stop',
  graceSeconds: Number(grace),
  store: 'under-test',
  emit: (event) => say(event.type),
  signal: controller.signal,
  guard: { journalDirectory, environment: {} },
});
/** An interrupt is an end like any other here. */
async function heldStill(options: HoldOptions): Promise<Hold> {
  try {
    return await holdStill(options);
  } catch (error) {
    if (controller.signal.aborted) process.exit(130);
    throw error;
  }
}

for await (const _ of process.stdin) break;
say(JSON.stringify(await hold.release()));
process.exit(0);
