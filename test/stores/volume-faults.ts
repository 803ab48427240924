// Faults of restores into a volume, whatever server is on it.
import type { Event } from '../../src/events.ts';
import { type Cut, startCutSocket } from '../faults/cut-socket.ts';
import type { SmallDisk } from '../faults/small-disk.ts';
import { reseal, withFile } from '../operations/sealed-backup.ts';
import type { Failing, Stage, Subject } from './failing-restores.ts';

/** With a file more in it. */
export const adding =
  (path: string) =>
  ({ backup }: Stage) =>
    reseal(backup, (tar) => withFile(tar, path, () => Buffer.from('x')), { samples: [] });

/** Refused with both figures where it is seen before; and where somebody fills the disk up later. */
export const fullDisk = (disk: () => SmallDisk): Failing[] => [
  {
    arrange: async () => disk().fill(1024 * 1024),
    settle: () => disk().empty(),
    exitCode: 5,
    message: /about \d+\.\d MB are needed beside the present data, 1\.0 MB are free; nothing was touched$/,
    state: 'proved',
  },
  {
    arrange: async () => ({ confirm: async () => disk().fill(256 * 1024) }),
    settle: () => disk().empty(),
    exitCode: 5,
    message: /no space is left for what is staged/,
    state: 'staged',
  },
];

/** Armed by an event, so that it hits the step that is meant. */
function cutting(cut: Cut, when: (event: Event) => boolean, state: 'staged' | 'swapped'): Failing {
  let hasCut = () => false;
  return {
    async arrange({ run }) {
      const socket = await startCutSocket();
      hasCut = socket.hasCut;
      let isArmed = false;
      const emit = (event: Event) => {
        if (!isArmed && when(event)) socket.arm(cut);
        isArmed ||= when(event);
      };
      return { run: { ...run, docker: socket.docker, emit } };
    },
    settle() {
      if (!hasCut()) throw new Error('nothing was cut');
    },
    exitCode: 5,
    message: /Docker|socket hang up|ECONNRESET|connection/,
    state,
  };
}

export const whileStaging = cutting(
  { request: /^PUT .*\/archive\?path=(%2F|\/)&/, afterBytes: 4096 },
  (event) => event.type === 'step' && /(is|are) good/.test(event.message),
  'staged',
);
export const whileSwapping = cutting({ request: /^GET .*\/json/ }, ({ type }) => type === 'held', 'swapped');

/** Every fault, for a server that ends with exit code 3 at a file "poison", and is not healthy at a file "sick". */
export const volumeFaults = (disk: () => SmallDisk): Subject['faults'] => ({
  damaged: [
    {
      arrange: ({ backup }) => reseal(backup, (tar) => tar.subarray(0, tar.length - 2048)),
      exitCode: 4,
      message: /the tar is not whole: it ends in the middle/,
      state: 'proved',
    },
  ],
  dead: [
    {
      arrange: adding('./poison'),
      exitCode: 5,
      message: /container ".*" ended with exit code 3; .* serves again$/,
      state: 'swapped',
    },
  ],
  sick: [
    {
      arrange: adding('./sick'),
      exitCode: 5,
      message: /container ".*" is not healthy after \d+ s \(.*\); .* serves again$/,
      state: 'swapped',
    },
  ],
  full: fullDisk(disk),
  cut: [whileStaging, whileSwapping],
});
