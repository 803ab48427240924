import { expect, onTestFinished, test } from 'vitest';
import type { TarEntry } from '../../src/archive/tar-format.ts';
import { scanTar } from '../../src/archive/tar-scan.ts';
import { directPathOf, hostPathFor } from '../../src/stores/direct-read.ts';
import { openHelper, readPlace } from '../../src/stores/volume-place.ts';
import { chromaImage, docker, inVolume, makeVolume, uniqueName, volumeNamed } from '../docker/bed.ts';

const tree = `
set -e
cd /v
mkdir -p empty deep/er 'with space' real; chmod 2750 deep; chmod 1777 empty
echo one > deep/er/file; ln deep/er/file deep/hard; ln -s /etc/passwd absolute; ln -s nowhere dangling
mkfifo pipe; printf y > '*'; touch $'not-utf8-\\377\\376'; touch "$(printf 'n%.0s' {1..200})"
mkdir -p $(printf 'd%.0s' {1..120})/$(printf 'e%.0s' {1..120})
head -c 3000000 /dev/urandom > big; : > nothing; truncate -s 2M sparse; mkdir .pkbackup-old; echo x > .pkbackup-old/x
chown -R 999:998 deep; chown -h 1:2 dangling; ln -s real link; echo x > real/x
touch -d @1234567890 deep empty; chown 999:997 .; chmod 0700 .; touch -d @1111111111 .
`;

const signal = new AbortController().signal;

async function volumeWith(script: string) {
  const source = await makeVolume();
  await inVolume(source, script);
  const engine = await docker();
  const image = await engine.image(chromaImage, { signal });
  const place = { source, directory: '', images: [image?.id ?? ''] };
  const helper = await openHelper(engine, place, { isReadOnly: true, signal });
  onTestFinished(() => helper.remove());
  const directPath = async (directory = '') =>
    directPathOf(await hostPathFor(engine, helper, place, signal), directory, signal);
  return { engine, place, directPath };
}

type Found = Omit<TarEntry, 'pax' | 'path' | 'linkPath'> & { linkPath?: string; data: string };

/** By name; of a file with several names, the one that comes first has the data. */
async function entriesOf(place: Awaited<ReturnType<typeof volumeWith>>, readsDirectly: boolean) {
  const snapshot = await readPlace(place.engine, place.place, { signal, onDevice: () => {}, readsDirectly });
  const found = new Map<string, Found>();
  let last: Found | undefined;
  try {
    for await (const piece of scanTar(snapshot.tar)) {
      if (piece.type === 'data') {
        if (last) last.data += piece.bytes.toString('latin1');
        continue;
      }
      const { pax: _, path, linkPath, mtime, ...rest } = piece.entry;
      last = { ...rest, mtime: Math.floor(mtime), data: '' };
      if (linkPath) last.linkPath = linkPath.toString('latin1');
      if (snapshot.skip?.(piece.entry) !== true) found.set(path.toString('latin1'), last);
    }
    return { found, names: [...found.keys()].sort(), notes: snapshot.notes?.() };
  } finally {
    await snapshot.dispose?.();
  }
}

test('gives what the Engine gives, entry by entry, of a tree with everything in it', async () => {
  const volume = await volumeWith(tree);
  expect(await volume.directPath()).toMatch(/volumes.*_data$/);
  const [direct, engine] = [await entriesOf(volume, true), await entriesOf(volume, false)];
  expect(direct.names).toEqual(engine.names);
  expect(direct.notes).toEqual([]);
  // Which name of a file comes first is the reader's choice.
  const hard = ['./deep/hard', './deep/er/file'];
  for (const name of engine.names) {
    if (!hard.includes(name)) expect(direct.found.get(name), name).toEqual(engine.found.get(name));
  }
  for (const { found } of [direct, engine]) {
    const types = hard.map((name) => found.get(name)?.type).sort();
    expect(types).toEqual(['file', 'link']);
    expect(hard.map((name) => found.get(name)?.data).join('')).toBe('one\n');
  }
});

test('leaves it to the Engine where a program may have capabilities, which Node cannot read', async () => {
  const volume = await volumeWith('mkdir /v/bin; echo x > /v/bin/tool; chmod 755 /v/bin/tool');
  expect(await volume.directPath()).toBeUndefined();
});

test('never follows a link out of the volume', async () => {
  const volume = await volumeWith('ln -s /etc /v/out; mkdir /v/in; echo x > /v/in/x; ln -s in /v/also');
  expect(await volume.directPath('in')).toMatch(/in$/);
  expect(await volume.directPath('out')).toBeUndefined();
  expect(await volume.directPath('out/ssh')).toBeUndefined();
  expect(await volume.directPath('also')).toBeUndefined();
});

test('is only for what lies on a disk of this host, whole and always', async () => {
  const volume = await volumeWith('echo x > /v/x');
  expect(await directPathOf(undefined, '', signal)).toBeUndefined();
  const unknown = 'f'.repeat(64);
  expect(
    await volume.engine.hostPathOf({ containerId: unknown, source: volume.place.source }),
  ).toBeUndefined();
  const inMemory = volumeNamed(uniqueName('volume'));
  await volume.engine.createVolume({
    name: inMemory,
    driver: 'local',
    options: { type: 'tmpfs', device: 'tmpfs' },
  });
  const helper = await openHelper(
    volume.engine,
    { ...volume.place, source: inMemory },
    { isReadOnly: true, signal },
  );
  onTestFinished(() => helper.remove());
  expect(await volume.engine.hostPathOf({ containerId: helper.id, source: inMemory })).toBeUndefined();
});
