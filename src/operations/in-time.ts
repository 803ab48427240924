// Waiting for what nobody tells of.
import { setTimeout as sleep } from 'node:timers/promises';

const pollMs = 100;

/** Whether it comes to be so within `patienceMs`; it is asked at least once. Throws as `isSo` does. */
export async function inTime(isSo: () => boolean | Promise<boolean>, patienceMs: number): Promise<boolean> {
  const giveUpAt = performance.now() + patienceMs;
  while (!(await isSo())) {
    if (performance.now() > giveUpAt) return false;
    await sleep(pollMs);
  }
  return true;
}
