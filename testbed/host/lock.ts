import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { missing, TestbedError } from '../errors.ts';
import { stateDir } from '../state.ts';

const noticeMs = 500;

/** Lets one run at a time change images; a second one waits. The kernel frees the lock when its holder dies in any way. */
export async function lock(say: (line: string) => void): Promise<AsyncDisposable> {
  await mkdir(stateDir, { recursive: true });
  const holder = spawn('flock', [join(stateDir, 'lock'), 'sh', '-c', 'echo held; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(holder, 'spawn').catch(() => {
    throw missing('"flock" is not installed', 'images are built on Debian, where it is part of util-linux');
  });
  const exit = once(holder, 'exit');
  const notice = setTimeout(say, noticeMs, 'waiting for another run of the test bed');
  const isHeld = await Promise.race([once(holder.stdout, 'data').then(() => true), exit.then(() => false)]);
  clearTimeout(notice);
  if (!isHeld) throw new TestbedError(`"${stateDir}" cannot be locked`, 'look at the message of flock above');
  return {
    async [Symbol.asyncDispose]() {
      holder.stdin.end();
      await exit;
    },
  };
}
