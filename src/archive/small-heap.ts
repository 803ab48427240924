// V8 looks at its heap when that has grown to a multiple of what was in use before. What a backup has in use is 25 MB whatever
// the size of the data, but the longer it runs the more is kept that nobody uses: 160 MB of memory after a gigabyte,
// 240 MB after sixteen (docs/performance.md). Collecting more often costs next to nothing, because there is little to look at.
import { setFlagsFromString } from 'node:v8';

let isSmall = false;

/** For the rest of the process. A flag of V8 that it reads at the end of each collection, and that decides when the next one is. */
export function keepHeapSmall(): void {
  if (!isSmall) setFlagsFromString('--heap-growing-percent=10');
  isSmall = true;
}
