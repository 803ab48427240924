// A client of a store that asks again and again, and so sees for how long there was no answer.
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface PollingClient {
  /** Seconds between the last answer before the longest silence and the first one after it. */
  end(): Promise<number>;
}

const pauseMs = 5;
const patienceMs = 200;

/** Returns after the first answer. */
export async function pollHttp(port: number): Promise<PollingClient> {
  const deadlineMs = performance.now() + 30_000;
  while (!(await answers(port))) {
    if (performance.now() > deadlineMs) throw new Error(`nothing answers at port ${port}`);
    await sleep(pauseMs);
  }
  let isOn = true;
  let lastMs = performance.now();
  let longestMs = 0;
  const ask = async () => {
    const isAnswered = await answers(port);
    const nowMs = performance.now();
    if (isAnswered) longestMs = Math.max(longestMs, nowMs - lastMs);
    if (isAnswered) lastMs = nowMs;
    await sleep(pauseMs);
    return isAnswered;
  };
  const polling = (async () => {
    while (isOn) await ask();
  })();
  return {
    async end() {
      isOn = false;
      await polling;
      // A silence that lasts counts up to its end.
      while (!(await ask()));
      return longestMs / 1000;
    },
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const end = (isAnswer: boolean) => {
      socket.destroy();
      resolve(isAnswer);
    };
    socket.setTimeout(patienceMs, () => end(false));
    socket.on('connect', () => socket.write('GET / HTTP/1.0\r\n\r\n'));
    socket.on('data', (data) => end(data.includes('200 OK')));
    socket.on('error', () => end(false));
    socket.on('close', () => end(false));
  });
}
