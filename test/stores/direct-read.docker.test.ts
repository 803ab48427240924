import fs from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { expect, onTestFinished, test } from 'vitest';
import { encodeEntry, endOfArchive, padding, type TarEntry } from '../../src/archive/tar-format.ts';
import { scanTar } from '../../src/archive/tar-scan.ts';
import { directPathOf, hostPathFor } from '../../src/stores/direct-read.ts';
import {
  extentOf,
  mountPoint,
  openHelper,
  type ReadPlaceOptions,
  readPlace,
} from '../../src/stores/volume-place.ts';
import { makeTempDir } from '../archive/gather.ts';
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
    directPathOf(await hostPathFor(engine, helper, place, signal), directory, { signal });
  return { engine, place, helper, directPath };
}

type Found = Omit<TarEntry, 'pax' | 'path' | 'linkPath'> & {
  linkPath?: string;
  data: string;
  capabilities?: string;
};

/** By name; of a file with several names, the one that comes first has the data. */
async function entriesOf(
  { engine, place }: Pick<Awaited<ReturnType<typeof volumeWith>>, 'engine' | 'place'>,
  readsDirectly: boolean,
  more: Partial<ReadPlaceOptions> = {},
) {
  const how = { signal, onDevice: () => {}, readsDirectly, ...more };
  const snapshot = await readPlace(engine, place, how);
  const found = new Map<string, Found>();
  let last: Found | undefined;
  try {
    for await (const piece of scanTar(snapshot.tar)) {
      if (piece.type === 'data') {
        if (last) last.data += piece.bytes.toString('latin1');
        continue;
      }
      const { pax, path, linkPath, mtime, ...rest } = piece.entry;
      last = { ...rest, mtime: Math.floor(mtime), data: '' };
      const capabilities = pax?.get('SCHILY.xattr.security.capability');
      if (capabilities) last.capabilities = capabilities.toString('hex');
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

/** cap_net_raw, permitted and effective: version 2 of the kernel's format. */
const rawSockets = '0100000200200000000000000000000000000000';

/** With a program without them, and four that have them. */
async function volumeWithPrograms() {
  const volume = await volumeWith('mkdir -p /v/bin; echo x > /v/bin/plain; chmod 755 /v/bin/plain');
  const attributes = { mode: 0o755, uid: 0, gid: 0, mtime: 1_700_000_000 };
  const pax = new Map([['SCHILY.xattr.security.capability', Buffer.from(rawSockets, 'hex')]]);
  const tar = capable.flatMap((name) => {
    const data = Buffer.alloc(name.endsWith('large') ? 200_000 : 10, name);
    const path = Buffer.from(name, 'latin1');
    const entry = { path, type: 'file', size: data.length, ...attributes, pax } as const;
    return [encodeEntry(entry), data, padding(data.length)];
  });
  await using writer = await openHelper(volume.engine, volume.place, { isReadOnly: false, signal });
  await volume.engine.writeArchive(writer.id, mountPoint, Readable.from([...tar, endOfArchive]));
  return volume;
}

const capable = ['./bin/a b%?&#+', './bin/large', './bin/ping', './bin/\u00c3\u00a9'];

test('asks the Engine for the capabilities of a program, which Node cannot read', async () => {
  const volume = await volumeWithPrograms();
  expect(await volume.directPath()).toMatch(/_data$/);
  const [direct, engine] = [await entriesOf(volume, true), await entriesOf(volume, false)];
  expect(direct.found).toEqual(engine.found);
  const found = [...direct.found].filter(([, { capabilities }]) => capabilities === rawSockets);
  expect(found.map(([name]) => name).sort()).toEqual(capable);
});

test('and for those of one that was made since they were counted', async () => {
  const volume = await volumeWithPrograms();
  const { found } = await entriesOf(volume, true, { programs: 0 });
  expect(found.get('./bin/ping')?.capabilities).toBe(rawSockets);
});

test('leaves it to the Engine where there are many programs', async () => {
  const volume = await volumeWith('mkdir /v/bin; touch /v/bin/{1..21}; chmod 755 /v/bin/*');
  expect(await volume.directPath()).toBeUndefined();
  const known = await entriesOf(volume, true, { programs: 21 });
  expect(known.names).toHaveLength(23);
});

test('and where one has a name by which the Engine cannot be asked', async () => {
  const volume = await volumeWith(`mkdir /v/bin; echo x > $'/v/bin/\\377'; chmod 755 /v/bin/*`);
  expect(await volume.directPath()).toBeUndefined();
  expect([...(await entriesOf(volume, true)).found.values()].at(-1)?.data).toBe('x\n');
  await expect(entriesOf(volume, true, { programs: 0 })).rejects.toMatchObject({
    code: 'backup_failed',
    message: expect.stringMatching(/cannot be asked for the program "bin\/./),
  });
});

test('how much there is, and how many programs, is counted on this host; elsewhere the Engine is asked', async () => {
  const { engine, place, helper } = await volumeWith(`
    mkdir /v/in /v/.pkbackup-old; head -c 5000 /dev/zero | tee /v/in/a /v/.pkbackup-old/b > /v/c; chmod +x /v/c
  `);
  const counted = await extentOf(engine, place, helper, { signal, readsDirectly: true });
  expect(counted).toEqual({ estimatedBytes: 10_000, programs: 1 });
  const within = { ...place, directory: 'in' };
  expect(await extentOf(engine, within, helper, { signal, readsDirectly: true })).toEqual({
    estimatedBytes: 5000,
    programs: 0,
  });
  for (const [container, readsDirectly] of [[undefined, true] as const, [helper, false] as const]) {
    const { estimatedBytes, ...rest } = await extentOf(engine, place, container, { signal, readsDirectly });
    expect(estimatedBytes).toBeGreaterThanOrEqual(15_000);
    expect(rest).toEqual({});
  }
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
  expect(await directPathOf(undefined, '', { signal })).toBeUndefined();
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

test('a repository that lies in a directory of the host is neither counted with it nor read', async () => {
  const { engine, place } = await volumeWith('true');
  const source = makeTempDir();
  const repositoryDir = join(source, 'data/backups');
  fs.mkdirSync(repositoryDir, { recursive: true });
  fs.writeFileSync(join(source, 'data/file'), Buffer.alloc(1000));
  fs.writeFileSync(join(repositoryDir, 'archive'), Buffer.alloc(5000));
  const mounted = { ...place, source };
  await using helper = await openHelper(engine, mounted, { isReadOnly: true, signal });
  const context = { signal, readsDirectly: true };
  expect((await extentOf(engine, mounted, helper, context)).estimatedBytes).toBe(6000);
  expect((await extentOf(engine, mounted, helper, { ...context, repositoryDir })).estimatedBytes).toBe(1000);
  const { names } = await entriesOf({ engine, place: mounted }, true, { repositoryDir });
  expect(names).toEqual(['./', './data/', './data/file']);
});

test('what lies elsewhere is not counted', async () => {
  const { engine, place, helper } = await volumeWith('ln -s /usr /v/out; echo x > /v/x');
  const elsewhere = { ...place, directory: 'out' };
  const { programs } = await extentOf(engine, elsewhere, helper, { signal, readsDirectly: true });
  expect(programs).toBeUndefined();
});
