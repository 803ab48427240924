// Where no image at hand has a shell: the data is copied and not renamed, and all the promises hold all the same.
import { createReadStream, createWriteStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import Dockerode from 'dockerode';
import { pack } from 'tar-stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeDirectory } from '../cli/program.ts';
import { unpackDebianPackages } from '../debian-packages.ts';
import { inVolume, listingOf, logsOf, makeContainer, makeVolume, uniqueName } from '../docker/bed.ts';
import {
  expectHealed,
  type KillSubject,
  killedAtNote,
  killedWhile,
  restoring,
  runIn,
  stepInJournal,
} from '../operations/restore-kills.ts';

const engine = new Dockerode();
/** One static program, and nothing else. */
const image = `pkbackup-test/${uniqueName('static')}:1`;
const entries = 40;
const modes = { old: '750', new: '705' };
let subject: KillSubject & { readonly volume: string };

beforeAll(async () => {
  await makeImage();
  subject = await startSubject();
});
afterAll(async () => {
  await engine.getImage(image).remove({ force: true });
});

async function makeImage(): Promise<void> {
  const program = readFileSync(join(await unpackDebianPackages('busybox-static'), 'bin/busybox'));
  const tar = pack();
  tar.entry({ name: 'busybox', mode: 0o755 }, program);
  tar.finalize();
  const [repo, tag] = image.split(':');
  const archive = join(makeDirectory(), 'image.tar');
  await pipeline(tar, createWriteStream(archive));
  await text(await engine.importImage(createReadStream(archive), { repo, tag }));
}

const put = (volume: string, which: 'old' | 'new') =>
  inVolume(
    volume,
    `cd /v && rm -rf ..?* .[!.]* * && mkdir -p d/${which} && for n in $(seq ${entries}); do echo ${which} > e$n; done
     echo ${which} > .hidden; echo x > only-${which}; ln -s nowhere d/link; ln e1 d/hard; touch $'d/\\377'; chown 7:8 e2
     find . -exec touch -h -d @1234567890 {} +; chmod ${modes[which]} .; chown 5:6 .`,
  );

/** At each start its container says what it finds: a mixture would be seen. */
async function startSubject() {
  const volume = await makeVolume();
  await put(volume, 'new');
  const container = await makeContainer({
    image,
    entrypoint: ['/busybox', 'sh', '-c'],
    command: ['/busybox cat /v/e* /v/.hidden | /busybox sort | /busybox uniq -c; exec /busybox sleep 36000'],
    volumes: { [volume]: '/v' },
    more: { StopTimeout: 1 },
  });
  const config = `stores:\n  data: { kind: volume, volume: ${volume}, image: "${image}", grace_seconds: 1 }\n`;
  const made = {
    cwd: makeDirectory({ 'pkbackup.yaml': config }),
    volume,
    container,
    reset: async () => void (await put(volume, 'old')),
    async look() {
      for (const line of (await logsOf(container)).trim().split('\n')) {
        expect(line).toMatch(new RegExp(`^ *${entries + 1} (old|new)$`));
      }
      const listing = await listingOf(volume);
      const which = listing.includes('only-old') ? 'old' : 'new';
      expect(listing).toBe(known.get(which));
      return which as 'old' | 'new';
    },
    names: async () => {
      const { Volumes } = await engine.listVolumes({ filters: { label: ['pkbackup.aside'] } });
      return [...(await inVolume(volume, 'ls -A /v')).split('\n'), ...Volumes.map(({ Name }) => `.${Name}`)];
    },
  };
  known.set('new', await listingOf(volume));
  const saved = await runIn(made, ['backup']);
  expect(saved.exitCode, saved.stderr).toBe(0);
  await put(volume, 'old');
  known.set('old', await listingOf(volume));
  return made;
}

const known = new Map<string, string>();

test('a restore says that it copies, and comes back entry by entry; so does what it replaced', async () => {
  const there = await runIn(subject, restoring);
  expect(there).toMatchObject({ exitCode: 0 });
  expect(there.stderr).toMatch(/no image at hand has a shell.*copied aside/);
  expect(await subject.look()).toBe('new');
  const back = await runIn(subject, ['restore', 'data', '--rollback', '--yes']);
  expect(back.exitCode, back.stderr).toBe(0);
  expect(await subject.look()).toBe('old');
  expect((await subject.names()).filter((name) => name.includes('.pkbackup-'))).toEqual([]);
});

test.each([1, 2, 3, 4, 5])('killed at note %i it is undone or ended', async (note) => {
  const pid = await killedAtNote(subject, note);
  await expectHealed(subject, [pid], note > 3 ? 'new' : 'old');
});

test('killed while it copies, nobody is started on the half of it, and it is undone', async () => {
  const filters = { label: ['pkbackup.swapping'], volume: [subject.volume] };
  const copies = async () => (await engine.listContainers({ all: true, filters })).length > 0;
  for (const delayMs of [30, 150]) {
    const pid = await killedWhile(subject, restoring, copies, delayMs);
    const isProved = ['checked', 'kept'].includes(stepInJournal(subject) ?? '');
    await expectHealed(subject, [pid], isProved ? 'new' : 'old');
  }
});
