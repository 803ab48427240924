import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import {
  chromaImage,
  containerOf,
  inVolume,
  makeContainer,
  makeVolume,
  uniqueName,
  volumeNamed,
} from '../../docker/bed.ts';
import type { Seed } from '../conformance.ts';
import { missing } from '../planted-damage.ts';

/** One that nobody knows the meaning of, and a container that writes files into it. */
export const volume: Seed = {
  kind: 'volume',
  images: ['chromadb'],
  whenStopped: 'saved',
  planted: () => [
    {
      what: 'a file that is gone',
      edit: missing('b/c/file 7'),
      foundBy: 'content',
      finding: /^names and sizes: expected \d+ entries, .* got \d+ entries, /,
    },
  ],
  async start() {
    const name = await makeVolume();
    const id = await makeContainer({
      image: chromaImage,
      command: ['sleep', '3600'],
      volumes: { [name]: '/v' },
    });
    return {
      target: { volume: name },
      containers: [id],
      fill: async (scale) =>
        void (await inVolume(
          name,
          `mkdir -p /v/fixed/{a,b/c,empty} && cd /v/fixed
           for i in $(seq ${scale * 50}); do seq $((i * 100)) > "b/c/file $i"; done
           ln -s nowhere dangling; ln b/c/'file 1' hard; chmod 0750 a; chown 999:998 a 'b/c/file 2'; touch -d @1234567890 b/c/'file 3'`,
        )),
      startWriter: () => startWriter(id),
      ...reader(name),
      destroy: async () => void (await inVolume(name, 'find /v -mindepth 1 -delete')),
      wrong: () => [
        {
          what: 'a volume that is not there',
          target: { volume: `${name}x` },
          code: 'not_found',
          message: /is not there/,
        },
      ],
      async beside() {
        const to = volumeNamed(uniqueName('beside'));
        return { to, open: async () => reader(to) };
      },
      names: async () => (await inVolume(name, 'ls -A /v')).split('\n'),
    };
  },
};

const reader = (name: string) => ({
  fingerprint: () =>
    inVolume(
      name,
      `cd /v && [ -d fixed ] || exit 0
       find fixed ! -type d -printf '%p|%y|%m|%U:%G|%s|%Ts|%l\\n' | LC_ALL=C sort; find fixed -type d -printf '%p|%m|%U:%G\\n' | LC_ALL=C sort
       find fixed -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum`,
    ),
  items: async () =>
    (await inVolume(name, 'ls /v/items 2>/dev/null || true')).split('\n').filter(Boolean).map(Number),
});

/** In the container itself, so that a pause holds it too. */
async function startWriter(id: string) {
  const script = `rm -rf /v/items /v/stop; mkdir /v/items
    for ((i = 1; ; i += 1)); do
      [ -e /tmp/stop ] && rm /tmp/stop && exit
      echo $i > /v/.next && mv /v/.next /v/items/$i && echo $i; sleep 0.005
    done`;
  const exec = await containerOf(id).exec({ Cmd: ['bash', '-c', script], AttachStdout: true, User: '0:0' });
  const stream = await exec.start({});
  const stdout = new PassThrough();
  containerOf(id).modem.demuxStream(stream, stdout, stdout);
  stream.on('end', () => stdout.end());
  let acknowledged = 0;
  stdout.setEncoding('utf8').on('data', (text: string) => {
    acknowledged = Math.max(acknowledged, ...text.split('\n').map(Number));
  });
  return {
    acknowledged: () => acknowledged,
    async stop() {
      const ended = once(stdout, 'end');
      const stopping = await containerOf(id).exec({ Cmd: ['touch', '/tmp/stop'], User: '0:0' });
      await stopping.start({ Detach: true });
      await ended;
    },
  };
}
