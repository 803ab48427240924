// Loaded with --import: every write to a file takes 30 ms longer, as on a slow disk or network share.
import { open } from 'node:fs/promises';
import { devNull } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

const handle = await open(devNull, 'w');
const prototype = Object.getPrototypeOf(handle);
await handle.close();
for (const name of ['write', 'writev', 'writeFile', 'sync']) {
  const original = prototype[name];
  prototype[name] = async function (...rest) {
    await sleep(30);
    return original.apply(this, rest);
  };
}
