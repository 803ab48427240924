// An archive is never taken by a store of another kind: real archives of real servers, with every way to name a place that holds
// another kind's data. Nobody is stopped for it, and nothing is touched.
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ConfiguredStore } from '../../src/config/types.ts';
import { exitCodeOf, PkbackupError } from '../../src/errors.ts';
import { restore } from '../../src/operations/restore.ts';
import type { Run } from '../../src/operations/run.ts';
import type { Backup } from '../../src/repository/index.ts';
import { containerOf, helpersLeft, inVolume, stateOf } from '../docker/bed.ts';
import { makeRun, type RunFixture } from '../operations/run-fixture.ts';
import { backedUp, type Subject } from '../stores/conformance.ts';
import { chromadb1 } from '../stores/seeds/chromadb.ts';
import { falkordb } from '../stores/seeds/falkordb.ts';
import { neo4j } from '../stores/seeds/neo4j.ts';
import { postgres } from '../stores/seeds/postgres.ts';

/** A place that is not there, cannot be asked, is no good, is not empty, or means nothing to the kind. */
const refused = [1, 3, 4, 5, 64];
const seeds = { chromadb: chromadb1, falkordb, neo4j, postgres };
type Server = keyof typeof seeds;
const servers = Object.keys(seeds) as Server[];

interface Live {
  readonly store: ConfiguredStore;
  readonly subject: Subject;
  readonly backup: Backup;
  readonly container: string;
  readonly volume: string;
}

let fixture: RunFixture;
const live = new Map<Server, Live>();
/** As the replaced scripts made them, of the volume of a stopped server; a name without sidecars says nothing. */
const oldFiles = {
  chromadb: 'chromadb-backup-20251201-020000.tar.gz',
  neo4j: 'neo4j-backup-20251201-020000.tar.gz',
};

beforeAll(async () => {
  fixture = makeRun();
  for (const kind of servers) live.set(kind, await start(kind));
  for (const kind of ['chromadb', 'neo4j'] as const) await saveAsOfOld(kind);
});
afterAll(() => fixture[Symbol.dispose]());

async function start(kind: Server): Promise<Live> {
  const subject = await seeds[kind].start();
  await subject.fill(1);
  const store = { name: kind, kind, target: subject.target };
  const [container = ''] = subject.containers;
  const { Name, Mounts } = await containerOf(container).inspect();
  const [mount] = Mounts.filter(({ Type }) => Type === 'volume');
  return {
    store,
    subject,
    backup: await backedUp(runWith(subject), store),
    container: Name.slice(1),
    volume: mount?.Name ?? '',
  };
}

/** Two of them may call different passwords by one name: the last one counts. */
function runWith(...subjects: readonly Subject[]): Run {
  const environments = subjects.map(({ environment }) => environment);
  return { ...fixture.run, environment: Object.assign({}, process.env, ...environments) };
}

async function saveAsOfOld(kind: keyof typeof oldFiles): Promise<void> {
  const { container, volume } = of(kind);
  await containerOf(container).stop({ t: 120 });
  const encoded = await inVolume(volume, 'tar -czf - -C /v . | base64 -w 0');
  await containerOf(container).start();
  await writeFile(join(fixture.run.repository.directory, oldFiles[kind]), Buffer.from(encoded, 'base64'));
}

function of(kind: Server): Live {
  const found = live.get(kind);
  if (!found) throw new Error(`no ${kind} was started`);
  return found;
}

/** The same bytes, called a backup of another kind by everything around them. */
async function calledOtherwise({ backup }: Live, kind: Server): Promise<string> {
  const { repository } = fixture.run;
  await using publication = await repository.begin(kind, new Date(), backup.metadata.compression ?? 'gzip');
  await publication.file.writeFile(readFileSync(backup.path));
  await publication.commit({
    ...backup.metadata,
    backup_file: publication.archiveName,
    store: kind,
    kind,
    source: of(kind).backup.metadata.source,
  });
  return publication.stem;
}

interface Case {
  readonly archive: Server;
  readonly target: Server;
}

const cases = servers.flatMap((archive): Case[] =>
  servers.filter((target) => target !== archive).map((target) => ({ archive, target })),
);

test.each(cases)('an archive of $archive is not taken by $target', async ({ archive, target }) => {
  const from = of(archive);
  const into = of(target);
  const state = await stateOf(into.container);
  const before = await into.subject.fingerprint();
  const files = archive in oldFiles ? [oldFiles[archive as keyof typeof oldFiles]] : [];
  const lie = await calledOtherwise(from, target);
  const wrong: { backup: string; store?: string; to?: string; exitCodes: readonly number[] }[] = [
    ...[from.backup.stem, ...files].flatMap((backup) => [
      { backup, store: target, exitCodes: [4] },
      { backup, to: into.volume, exitCodes: refused },
      { backup, to: `container:${into.container}`, exitCodes: refused },
    ]),
    { backup: lie, exitCodes: [4] },
  ];
  const told = [];
  for (const { backup, store, to, exitCodes } of wrong) {
    const stores = [into.store, ...(to === undefined ? [] : [from.store])];
    const how = { ...(store === undefined ? {} : { store }), ...(to === undefined ? {} : { to }) };
    // Of the two that are configured the first to be asked is the one that the backup is of, with --to.
    const run = to === undefined ? runWith(into.subject) : runWith(into.subject, from.subject);
    const error = await restore(run, {
      backup,
      stores,
      safetyBackup: true,
      confirm: async () => true,
      ...how,
    }).then(
      () => new Error('it was taken'),
      (thrown: unknown) => thrown,
    );
    if (!(error instanceof PkbackupError)) throw error;
    told.push({ ...how, backup, exitCodes, got: exitCodeOf(error), said: error.message });
  }
  expect(told.filter(({ exitCodes, got }) => !exitCodes.includes(got))).toEqual([]);
  expect(told.filter(({ said }) => said.includes('\n') || said === '')).toEqual([]);
  expect(await into.subject.fingerprint()).toBe(before);
  expect(await stateOf(into.container)).toEqual(state);
  expect((await into.subject.names()).filter((name) => name.includes('pkbackup'))).toEqual([]);
  expect(await helpersLeft()).toEqual([]);
});
