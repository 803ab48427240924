import { expect, test } from 'vitest';
import {
  checksumOf,
  encodeEntry,
  endOfArchive,
  padding,
  type TarEntryType,
} from '../../src/archive/tar-format.ts';
import { scanTar } from '../../src/archive/tar-scan.ts';
import type { BackupFacts, Content } from '../../src/stores/store.ts';
import { volume } from '../../src/stores/volume.ts';
import {
  bytesOf,
  helpersLeft,
  inVolume,
  listingOf,
  makeContainer,
  makeContext,
  makeVolume,
  piecesOf,
  removeVolume,
  stateOf,
  uniqueName,
  volumeNamed,
} from '../docker/bed.ts';

const hostileTree = `
set -e
cd /v
mkdir -p empty deep/er/still 'with space' .hidden; chmod 2750 deep; chmod 1777 empty
echo one > deep/er/file; echo two > 'with space/new
line'; ln deep/er/file deep/hard; ln -s /etc/passwd absolute; ln -s nowhere dangling; ln -s ../../outside leaves
mkfifo pipe; printf 'x' > ..twodots; printf y > '*'; printf z > -- -rf
touch $'not-utf8-\\377\\376'; touch "$(printf 'n%.0s' {1..255})"
head -c 3000000 /dev/urandom > big; : > nothing; chmod 4755 nothing
truncate -s 5M sparse
mkdir -p $(printf 'd%.0s' {1..120})/$(printf 'e%.0s' {1..120}); touch -d @1000000000 deep/er/file
chown -R 999:998 deep; chown -h 1:2 dangling; chown 4000000:5 big
touch -d @1234567890 deep empty; chown 999:997 .; chmod 0700 .; touch -d @1111111111 .
`;

async function hostileVolume(): Promise<string> {
  const name = await makeVolume();
  await inVolume(name, hostileTree);
  return name;
}

async function backUp(name: string): Promise<Buffer> {
  const { context } = makeContext();
  const target = { volume: name };
  const look = await volume.look(target, context);
  const snapshot = await volume.snapshot(target, look, context);
  try {
    return await filtered(await bytesOf(snapshot.tar), snapshot.skip);
  } finally {
    await snapshot.dispose?.();
  }
}

/** What the operation does with `skip`. */
async function filtered(tar: Buffer, skip: ((entry: never) => boolean) | undefined): Promise<Buffer> {
  const out: Buffer[] = [];
  let size = 0;
  let isSkipped = false;
  for await (const piece of scanTar(piecesOf(tar))) {
    if (piece.type === 'entry') {
      if (size > 0 && !isSkipped) out.push(padding(size));
      isSkipped = skip?.(piece.entry as never) ?? false;
      size = piece.entry.size;
      if (!isSkipped) out.push(piece.raw);
    } else if (!isSkipped) out.push(piece.bytes);
  }
  if (size > 0 && !isSkipped) out.push(padding(size));
  return Buffer.concat([...out, endOfArchive]);
}

const contentOf = (tar: Buffer): Content => ({ tar: () => piecesOf(tar) });
const facts = (source: BackupFacts['source'] = {}): BackupFacts => ({
  kind: 'volume',
  store: 's',
  source,
  counts: {},
});

async function plan(
  name: string,
  options: { beside?: boolean; source?: BackupFacts['source']; signal?: AbortSignal } = {},
) {
  const { context, events } = makeContext(undefined, options.signal);
  const beside = options.beside ?? false;
  const restoration = await volume.planRestore({ volume: name }, facts(options.source), { beside }, context);
  return { restoration, events };
}

test('a hostile tree comes back entry by entry, the root included, and nothing of ours is left', async () => {
  const name = await hostileVolume();
  const before = await listingOf(name);
  const tar = await backUp(name);
  await inVolume(
    name,
    'cd /v && rm -rf deep big && echo stale > stale && mkdir stale-dir && chmod 777 . && chown 0:0 .',
  );
  const { restoration } = await plan(name);
  await restoration.stage(contentOf(tar));
  await restoration.swap();
  expect(await restoration.check()).toEqual({});
  await restoration.discard();
  expect(await listingOf(name)).toBe(before);
  expect(await helpersLeft()).toEqual([]);
});

test('the previous data is given as it was, and put back by a rollback after the swap', async () => {
  const name = await hostileVolume();
  const tar = await backUp(name);
  await inVolume(
    name,
    'cd /v && rm -rf deep big && echo later > later && chmod 750 . && chown 7:8 . && touch -d @1222222222 .',
  );
  const before = await listingOf(name);
  const { restoration } = await plan(name);
  await restoration.stage(contentOf(tar));
  await restoration.swap();
  const previous = await restoration.previous();
  const names: string[] = [];
  for await (const piece of scanTar(previous!.tar))
    if (piece.type === 'entry') names.push(piece.entry.path.toString());
  await previous?.dispose?.();
  expect(names[0]).toBe('./');
  expect(names).toContain('./later');
  expect(names).not.toContain('./big');
  await restoration.rollback();
  expect(await listingOf(name)).toBe(before);
});

test('a rollback before the swap leaves everything as it was', async () => {
  const name = await hostileVolume();
  const before = await listingOf(name);
  const tar = await backUp(name);
  const { restoration } = await plan(name);
  await restoration.stage(contentOf(tar));
  await restoration.rollback();
  await restoration.rollback();
  expect(await listingOf(name)).toBe(before);
  expect(await helpersLeft()).toEqual([]);
});

test('every step may be called again', async () => {
  const name = await hostileVolume();
  const before = await listingOf(name);
  const tar = await backUp(name);
  const { restoration } = await plan(name);
  for (const _ of [1, 2]) await restoration.stage(contentOf(tar));
  for (const _ of [1, 2]) await restoration.swap();
  for (const _ of [1, 2]) await restoration.discard();
  expect(await listingOf(name)).toBe(before);
});

test('staged and previous directories are in no backup, and an empty volume is told as empty', async () => {
  const name = await makeVolume();
  const { context } = makeContext();
  expect((await volume.look({ volume: name }, context)).isEmpty).toBe(true);
  await inVolume(name, 'mkdir /v/.pkbackup-staged-1 && echo x > /v/.pkbackup-staged-1/f');
  expect((await volume.look({ volume: name }, context)).isEmpty).toBe(true);
  await inVolume(name, 'echo y > /v/real');
  expect((await volume.look({ volume: name }, context)).isEmpty).toBe(false);
  const names: string[] = [];
  for await (const piece of scanTar(piecesOf(await backUp(name))))
    if (piece.type === 'entry') names.push(piece.entry.path.toString());
  expect(names).toEqual(['./', './real']);
});

test('a volume that was deleted is made again, with the labels of its compose project', async () => {
  const name = await makeVolume(`${uniqueName('stack')}_chroma`);
  await inVolume(name, hostileTree);
  const before = await listingOf(name);
  const tar = await backUp(name);
  await removeVolume(name);
  const project = name.replace('_chroma', '');
  const { restoration } = await plan('chroma', { source: { volume: name, compose_project: project } });
  expect(restoration.plan).toMatchObject({ replaces: false, volumes: [name] });
  await restoration.stage(contentOf(tar));
  await restoration.swap();
  expect(await restoration.previous()).toBeUndefined();
  await restoration.discard();
  expect(await listingOf(name)).toBe(before);
  const { context } = makeContext();
  const made = await (await context.docker()).volume(name);
  expect(made?.labels).toMatchObject({
    'com.docker.compose.project': project,
    'com.docker.compose.volume': 'chroma',
  });
});

test('a volume that the restore has made is removed again by a rollback', async () => {
  const name = volumeNamed(uniqueName('new'));
  const { restoration, events } = await plan(name, { beside: true });
  await restoration.stage(
    contentOf(
      await tarOf([
        ['./', 'directory'],
        ['./f', 'file'],
      ]),
    ),
  );
  await restoration.rollback();
  const { context } = makeContext();
  expect(await (await context.docker()).volume(name)).toBeUndefined();
  expect(events).toEqual([]);
});

test('beside, a volume that holds anything is refused', async () => {
  const name = await makeVolume();
  await inVolume(name, 'echo mine > /v/mine');
  await expect(plan(name, { beside: true })).rejects.toMatchObject({
    code: 'restore_failed',
    message: `volume "${name}" is not empty; nothing was restored`,
  });
});

test('a name of the compose file is enough where it is one volume, and refused with the candidates where it is not', async () => {
  const word = uniqueName('chroma');
  const first = await makeVolume(`one_${word}`, { 'com.docker.compose.volume': word });
  const { context } = makeContext();
  expect((await volume.look({ volume: word }, context)).source.volume).toBe(first);
  await makeVolume(`two_${word}`);
  await expect(volume.look({ volume: word }, context)).rejects.toMatchObject({
    code: 'ambiguous',
    message: `"${word}" may be one of several volumes: "one_${word}", "two_${word}"`,
  });
  await expect(volume.look({ volume: `${word}x` }, context)).rejects.toMatchObject({
    code: 'not_found',
    hint: expect.stringContaining(word),
  });
});

type Entries = [path: string, type: TarEntryType, linkPath?: string, data?: Buffer][];

async function tarOf(entries: Entries): Promise<Buffer> {
  const plain = { size: 0, mode: 0o644, uid: 0, gid: 0, mtime: 1_000_000_000 };
  const blocks = entries.map(([path, type, linkPath, data = Buffer.alloc(0)]) => [
    encodeEntry({
      ...plain,
      path: Buffer.from(path),
      type,
      size: data.length,
      ...(linkPath ? { linkPath: Buffer.from(linkPath) } : {}),
    }),
    data,
    padding(data.length),
  ]);
  return Buffer.concat([...blocks.flat(), endOfArchive]);
}

/** A header for the Engine in the data of an entry. */
const smuggled = encodeEntry({
  path: Buffer.from('volume/present'),
  type: 'file',
  size: 0,
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtime: 0,
});

test.each<[string, Entries]>([
  ['an absolute name', [['/etc/cron.d/x', 'file']]],
  ['a name that goes up', [['./a/../../x', 'file']]],
  ['a hard link that goes up', [['./a', 'link', '../../present']]],
  ['a hard link to an absolute name', [['./a', 'link', '/volume/present']]],
  [
    'a file through a symlink of the archive',
    [
      ['./a', 'symlink', '/volume'],
      ['./a/present', 'file'],
    ],
  ],
  [
    'a hard link through a symlink of the archive',
    [
      ['./a', 'symlink', '/volume'],
      ['./b', 'link', './a/present'],
    ],
  ],
  [
    'a file through a hard link to a symlink of the archive',
    [
      ['./a', 'symlink', '/volume'],
      ['./b', 'link', './a'],
      ['./b/present', 'file'],
    ],
  ],
  ['a root that is a file, with headers in it', [['./.', 'file', '', smuggled]]],
  ['a root that is a symlink', [['.', 'symlink', '/volume']]],
  ['a device', [['./a', 'block-device']]],
  ['a name of our own', [['./.pkbackup-previous-1/x', 'file']]],
])('%s is refused, and nothing is changed', async (_what, entries) => {
  const name = await makeVolume();
  await inVolume(name, 'echo precious > /v/present; touch -d @1200000000 /v/present /v');
  const before = await listingOf(name);
  const { restoration } = await plan(name);
  const tar = await tarOf([['./', 'directory'], ['./ok', 'file'], ...entries]);
  await expect(restoration.stage(contentOf(tar))).rejects.toMatchObject({ code: 'bad_backup' });
  await restoration.rollback();
  expect(await listingOf(name)).toBe(before);
  expect(await helpersLeft()).toEqual([]);
});

test('a cut archive is refused while it is staged, and the rollback removes what had arrived', async () => {
  const name = await hostileVolume();
  const before = await listingOf(name);
  const tar = await backUp(name);
  const { restoration } = await plan(name);
  await expect(restoration.stage(contentOf(tar.subarray(0, 2_000_000)))).rejects.toMatchObject({
    code: 'bad_backup',
  });
  await restoration.rollback();
  expect(await listingOf(name)).toBe(before);
});

test('an abort while staging ends at once, and the rollback still works', async () => {
  const name = await hostileVolume();
  const before = await listingOf(name);
  const controller = new AbortController();
  const tar = await backUp(name);
  const { restoration } = await plan(name, { signal: controller.signal });
  const content: Content = {
    async *tar() {
      yield* piecesOf(tar.subarray(0, 1_000_000));
      controller.abort();
      await new Promise((resolve) => setTimeout(resolve, 50));
      yield* piecesOf(tar.subarray(1_000_000));
    },
  };
  await expect(restoration.stage(content)).rejects.toMatchObject({ code: 'interrupted' });
  await restoration.rollback();
  expect(await listingOf(name)).toBe(before);
  expect(await helpersLeft()).toEqual([]);
});

/** Docker as it is, but for what goes into a volume: the second write, after that of the staging directory. */
async function planOver(name: string, write: (tar: AsyncIterable<Buffer>) => AsyncIterable<Buffer>) {
  const { context } = makeContext();
  const real = await context.docker();
  let writes = 0;
  const lossy = {
    ...real,
    writeArchive: (id: string, path: string, tar: AsyncIterable<Buffer>, options?: object) => {
      writes += 1;
      const written = writes === 2 ? write(tar) : tar;
      return real.writeArchive(id, path, written, options);
    },
  };
  const lossyContext = { ...context, docker: async () => lossy };
  return volume.planRestore({ volume: name }, facts(), { beside: false }, lossyContext);
}

test.each<[string, (tar: Buffer) => Buffer]>([
  [
    'a tar that was cut between two entries',
    (tar) => Buffer.concat([tar.subarray(0, 512 * 20), endOfArchive]),
  ],
  ['a flipped bit', (tar) => flipped(tar, tar.indexOf('CONTENT') + 3)],
  ['a name that changed', (tar) => renamed(tar, '/f10')],
  ['nothing at all', () => endOfArchive],
])('what the Engine takes with status 200 and is not what was sent is found: %s', async (_what, damage) => {
  const name = await makeVolume();
  await inVolume(name, 'cd /v && for n in $(seq 10 40); do echo CONTENT$n > f$n; done');
  const before = await listingOf(name);
  const tar = await backUp(name);
  const restoration = await planOver(name, async function* (whole) {
    yield damage(await bytesOf(whole));
  });
  await expect(restoration.stage(contentOf(tar))).rejects.toMatchObject({
    code: expect.stringMatching(/restore_failed|not_found/),
  });
  await restoration.rollback();
  expect(await listingOf(name)).toBe(before);
});

/** The first letter of an entry's name becomes another one, in a header that is whole. */
function renamed(tar: Buffer, name: string): Buffer {
  const copy = Buffer.from(tar);
  const at = copy.indexOf(`${name}\0`) + 1;
  const header = copy.subarray(at - (at % 512), at - (at % 512) + 512);
  copy.write('g', at);
  header.write(`${checksumOf(header).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return copy;
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

test('looking and reading do not touch a running user of the volume', async () => {
  const name = await makeVolume();
  const id = await makeContainer({ volumes: { [name]: '/data' } });
  const before = await stateOf(id);
  await inVolume(name, 'echo x > /v/x');
  await backUp(name);
  expect(await stateOf(id)).toEqual(before);
});
