// The commands of docs/stores for stores in volumes, run as they stand there with the names of the examples replaced.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeTempDir } from '../archive/gather.ts';
import { chromaImage, inVolume, listingOf, makeVolume, uniqueName, volumeNamed } from '../docker/bed.ts';
import { startChroma, untilHealthy, vectorOf } from './chroma-client.ts';

const root = join(import.meta.dirname, '../..');

function backUp(directory: string, store: string, config: string): void {
  writeFileSync(join(directory, 'pkbackup.yaml'), `repository: ./backups\nstores:\n  ${store}: ${config}\n`);
  execFileSync(process.execPath, [join(root, 'bin/pkbackup.js'), 'backup', '--quiet'], { cwd: directory });
}

function runByHand(directory: string, kind: string, replacements: Record<string, string>): void {
  const page = readFileSync(join(root, 'docs/stores', `${kind}.md`), 'utf8');
  const archive = readdirSync(join(directory, 'backups')).find((each) => each.endsWith('.tar.gz')) ?? '';
  let commands = /## Restore by hand[\s\S]*?```sh\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
  commands = commands.replaceAll(/\w+-backup-20261120-020000\.tar\.gz/g, archive);
  for (const [name, actual] of Object.entries(replacements)) {
    expect(commands).toContain(name);
    commands = commands.replaceAll(name, actual);
  }
  execFileSync('sh', ['-ec', commands], { cwd: directory, stdio: ['ignore', 'ignore', 'inherit'] });
}

test('a volume comes back entry by entry', async () => {
  const directory = makeTempDir();
  const volume = await makeVolume();
  await inVolume(
    volume,
    `cd /v && mkdir -p deep/er empty && echo one > deep/er/file && ln -s ../../out leaves && ln deep/er/file hard
     chown -R 999:998 deep && chown 999:997 . && chmod 0700 . && touch -d @1111111111 deep/er deep .`,
  );
  const before = await listingOf(volume);
  backUp(directory, 'repos', `{ kind: volume, volume: ${volume} }`);
  await inVolume(volume, 'cd /v && rm -r deep && echo later > later && chmod 0755 .');
  const kept = volumeNamed(uniqueName('kept'));
  runByHand(directory, 'volume', {
    repos_data: volume,
    'before-the-restore': kept,
    'debian:stable-slim': chromaImage,
  });
  expect(await listingOf(volume)).toBe(before);
  expect(await inVolume(kept, 'cat /v/later')).toBe('later\n');
});

test('a ChromaDB comes back with its vectors', async () => {
  const directory = makeTempDir();
  const volume = await makeVolume();
  const name = uniqueName('chroma');
  const chroma = await startChroma(volume, { name });
  const collection = await chroma.createCollection('one');
  for (const from of [0, 500, 1000]) await chroma.add(collection, from, 500);
  backUp(directory, 'vectors', `{ kind: chromadb, container: ${name} }`);
  await untilHealthy(chroma.id);
  await chroma.add(collection, 5000, 5);
  runByHand(directory, 'chromadb', {
    'pk-mcp-chromadb': name,
    'pk-mcp_chroma': volume,
    'before-the-restore': volumeNamed(uniqueName('kept')),
    'chromadb/chroma:1.0.15': chromaImage,
  });
  await untilHealthy(chroma.id);
  expect(await chroma.count(collection)).toBe(1500);
  expect((await chroma.everything(collection)).size).toBe(1500);
  expect(await chroma.nearest(collection, vectorOf(321))).toBe('r321');
});
