// What every store owes its users, tried against the real server. A seed says how to start one kind, fill it, write to it
// all the time, tell what is in it, lose it, and how it can be configured wrongly; everything else is here, once.
import { existsSync, readdirSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { ConfiguredStore } from '../../src/config/types.ts';
import { PkbackupError } from '../../src/errors.ts';
import type { Event } from '../../src/events.ts';
import { backup } from '../../src/operations/backup.ts';
import { type DrillVerdict, drill } from '../../src/operations/drill.ts';
import { prune } from '../../src/operations/prune.ts';
import { restore } from '../../src/operations/restore.ts';
import { verify } from '../../src/operations/verify.ts';
import type { Backup } from '../../src/repository/index.ts';
import { storeOf } from '../../src/stores/index.ts';
import type { Kind, Quiesce } from '../../src/words.ts';
import { requireTestbed, type ServerName } from '../../testbed/index.ts';
import { helpersLeft, stateOf, throwawaysLeft } from '../docker/bed.ts';
import { makeRun, type RunFixture } from '../operations/run-fixture.ts';
import { startContainer, stopContainer } from './fixtures/containers.ts';
import { expectFound, type Planted } from './planted-damage.ts';

export interface Seed {
  readonly kind: Kind;
  /** For kinds that more than one seed is for: `1.x`. */
  readonly variant?: string;
  /** Minutes for a kind that another seed shows already: run with the slow tests. */
  readonly isSlow?: boolean;
  /** Of the test bed; none for stores of this host. */
  readonly images?: readonly ServerName[];
  /** Whether a container that does not run can be saved: `saved` means from its volume, and it stays stopped. */
  readonly whenStopped?: 'saved' | 'refused';
  /** False where a copy is not of one moment, only each file in it. */
  readonly isOneMoment?: false;
  /** Ways to hold it that are tried beside its default. */
  readonly alsoHeld?: readonly Quiesce[];
  /** What is planted in a good backup of the fixed data, and who finds it. */
  planted?(subject: Subject): readonly Planted[];
  /** Begins with nothing in it. What it makes goes when the file is over (test/docker/bed.ts). */
  start(): Promise<Subject>;
}

export interface Subject {
  /** As in pkbackup.yaml, without `kind`. */
  readonly target: Record<string, unknown>;
  /** For `*_env` settings. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Ids of those that run before every operation and MUST run after it. */
  readonly containers: readonly string[];
  /** Fixed data; `scale` 1 is a second's worth. */
  fill(scale: number): Promise<void>;
  /** Of the fixed data, whatever the writer has written. */
  fingerprint(): Promise<string>;
  /** Begins anew: items of an earlier writer are gone. */
  startWriter(): Promise<Writer>;
  /** The items of the writer that are there, in any order. */
  items(): Promise<number[]>;
  /** Loses everything; the store stays usable. */
  destroy(): Promise<void>;
  wrong(): readonly WrongCase[];
  /** A free place for `--to`, and a way to look into it once something was restored there. */
  beside(): Promise<{ readonly to: string; open(): Promise<Pick<Subject, 'fingerprint' | 'items'>> }>;
  /** Names that lie where the data lies: nothing of ours may be left among them. */
  names(): Promise<readonly string[]>;
}

/** Writes item 1, then 2, and so on, each one only when the one before it was taken. */
export interface Writer {
  /** The last item that the store has taken. */
  acknowledged(): number;
  /** Throws where the store refused one (a store that is held may; then the writer tries again). */
  stop(): Promise<void>;
}

export interface WrongCase {
  /** `a wrong password` */
  readonly what: string;
  readonly target: Record<string, unknown>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly code: PkbackupError['code'];
  readonly message: RegExp;
  /** MUST NOT be in message, hint or events. */
  readonly secret?: string;
}

/** All seeds: one file each, beside this one. */
export async function loadSeeds(): Promise<Seed[]> {
  const directory = join(import.meta.dirname, 'seeds');
  const files = readdirSync(directory).filter((name) => name.endsWith('.ts'));
  const modules = await Promise.all(files.map((name) => import(join(directory, name))));
  return modules.flatMap((module) =>
    Object.values(module as Record<string, Seed>).filter((value) => 'start' in value),
  );
}

export const nameOf = ({ kind, variant }: Seed): string => (variant ? `${kind} ${variant}` : kind);

/** A store of this subject as it would be configured; its settings pass the kind's own schema. */
export function storeFor(
  seed: Partial<Seed> & Pick<Seed, 'kind'>,
  target: Record<string, unknown>,
  more: Partial<ConfiguredStore> = {},
): ConfiguredStore {
  return { name: 'subject', kind: seed.kind, target: storeOf(seed.kind).schema.parse(target), ...more };
}

export function conformance(seed: Seed): void {
  describe(`a store of kind ${nameOf(seed)}`, () => {
    let subject: Subject;
    let before: string;
    const stdout: unknown[] = [];

    beforeAll(async () => {
      await requireTestbed(...(seed.images ?? []));
      subject = patient(await seed.start());
      await subject.fill(1);
      before = await subject.fingerprint();
    });

    const runFor = (environment: Readonly<Record<string, string>> = {}): RunFixture => {
      const fixture = makeRun();
      const run = { ...fixture.run, environment: { ...process.env, ...subject.environment, ...environment } };
      return { ...fixture, run, [Symbol.dispose]: () => fixture[Symbol.dispose]() };
    };

    const expectTidy = async ({ run }: RunFixture) => {
      for (const id of subject.containers) expect(await stateOf(id)).toMatchObject({ status: 'running' });
      expect((await subject.names()).filter((name) => name.includes('pkbackup'))).toEqual([]);
      expect(await helpersLeft()).toEqual([]);
      expect((await run.repository.list()).leftovers).toEqual([]);
      const scratch = join(run.repository.directory, '.pkbackup', 'scratch');
      expect(existsSync(scratch) ? readdirSync(scratch) : []).toEqual([]);
    };

    const spied = (name: string, body: () => Promise<void>) =>
      test(name, async () => {
        const spy = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
          stdout.push(text);
          return true;
        });
        try {
          await body();
        } finally {
          spy.mockRestore();
        }
      });

    for (const quiesce of [undefined, ...(seed.alsoHeld ?? [])]) {
      const how = quiesce === undefined ? '' : ` with quiesce "${quiesce}"`;
      spied(`gives back what was there, saved${how} under a live writer`, async () => {
        using fixture = runFor();
        const { run } = fixture;
        const store = storeFor(seed, subject.target, quiesce ? { quiesce } : {});
        const writer = await subject.startWriter();
        await writtenBy(writer, 20);
        const atLeast = writer.acknowledged();
        const made = await backedUp(run, store);
        const atMost = writer.acknowledged() + 1;
        await writtenBy(writer, writer.acknowledged() + 5);
        await writer.stop();

        const { backups } = await verify(run, { backups: [], level: 'content' });
        expect(backups[0]).toMatchObject({ ok: true, findings: [], notChecked: [] });
        await subject.destroy();
        expect(await subject.fingerprint()).not.toBe(before);
        const result = await restore(run, restoreOptions(store));

        expect(await subject.fingerprint()).toBe(before);
        if (seed.isOneMoment !== false) expectHistory(await subject.items(), atLeast, atMost);
        for (const [what, expected] of Object.entries(made.metadata.counts)) {
          expect(result.counts[what] ?? expected, what).toBe(expected);
        }
        await expectTidy(fixture);
      });
    }

    spied('is not restored from a damaged backup, and keeps what it has', async () => {
      using fixture = runFor();
      const { run } = fixture;
      const store = storeFor(seed, subject.target);
      const { path, stem } = await backedUp(run, store);
      const bytes = await readFile(path);
      const middle = Math.floor(bytes.length / 2);
      bytes[middle] = (bytes[middle] ?? 0) ^ 0x10;
      await writeFile(path, bytes);

      const { ok } = await verify(run, { backups: [stem], level: 'checksum' });
      expect(ok).toBe(false);
      await expect(restore(run, restoreOptions(store))).rejects.toMatchObject({ code: 'bad_backup' });
      expect(await subject.fingerprint()).toBe(before);
      await expectTidy(fixture);
    });

    if (seed.planted !== undefined) {
      spied('comes back in a drill with every answer, and damage planted in it is found', async () => {
        using fixture = runFor();
        await drills(seed, subject, fixture);
        expect(await subject.fingerprint()).toBe(before);
        await expectTidy(fixture);
      });
    }

    spied('leaves nothing behind and everything running when a backup is cancelled half-way', async () => {
      using fixture = runFor();
      const store = storeFor(seed, subject.target);
      const emit = (event: Event) => {
        if (event.type === 'progress') fixture.stop.abort();
      };
      const run = { ...fixture.run, emit };
      await expect(backup(run, { stores: [store] })).rejects.toMatchObject({ code: 'interrupted' });
      expect((await run.repository.list()).backups).toEqual([]);
      await expectTidy(fixture);
      expect(await subject.fingerprint()).toBe(before);
    });

    spied('is restored beside, where the present data is not touched', async () => {
      using fixture = runFor();
      const store = storeFor(seed, subject.target);
      await backedUp(fixture.run, store);
      const items = await subject.items();
      const place = await subject.beside();
      await restore(fixture.run, { ...restoreOptions(store), to: place.to });

      const there = patient(await place.open());
      expect(await there.fingerprint()).toBe(before);
      expect(await subject.fingerprint()).toBe(before);
      expect((await subject.items()).toSorted()).toEqual(items.toSorted());
      const again = restore(fixture.run, { ...restoreOptions(store), to: place.to });
      await expect(again, 'a place that holds something').rejects.toBeInstanceOf(PkbackupError);
      expect(await there.fingerprint()).toBe(before);
      await expectTidy(fixture);
    });

    spied('is refused where it is configured wrongly, and the message helps', async () => {
      for (const wrong of subject.wrong()) {
        using fixture = runFor(wrong.environment);
        const { run } = fixture;
        const { stores } = await backup(run, { stores: [storeFor(seed, wrong.target)] });
        const [result] = stores;
        if (result?.ok !== false) throw new Error(`${wrong.what} was taken`);
        expect(result.error.message, wrong.what).toMatch(wrong.message);
        expect(result.error.code, wrong.what).toBe(wrong.code);
        expect(result.error.hint, wrong.what).toBeTruthy();
        const said = JSON.stringify([result.error.message, result.error.hint, fixture.events]);
        if (wrong.secret) expect(said).not.toContain(wrong.secret);
        expect((await run.repository.list()).backups).toEqual([]);
        for (const id of subject.containers) expect(await stateOf(id)).toMatchObject({ status: 'running' });
      }
      expect(await helpersLeft()).toEqual([]);
    });

    spied('is pruned like any other', async () => {
      using fixture = runFor();
      const { run } = fixture;
      const store = storeFor(seed, subject.target);
      const old = await backedUp(run, store);
      const young = await backedUp(run, store);
      await prune(run, { policy: { keepLast: 1 }, dryRun: false });
      const left = (await run.repository.list()).backups.map(({ stem }) => stem);
      expect(left).toEqual([young.stem]);
      expect(left).not.toContain(old.stem);
    });

    if (seed.whenStopped !== undefined) {
      const what =
        seed.whenStopped === 'saved' ? 'is saved and stays stopped' : 'is refused and stays stopped';
      spied(`${what} where its container is stopped`, async () => {
        using fixture = runFor();
        for (const id of subject.containers) await stopContainer(id);
        try {
          const { stores } = await backup(fixture.run, { stores: [storeFor(seed, subject.target)] });
          expect(stores[0]?.ok).toBe(seed.whenStopped === 'saved');
          if (stores[0]?.ok === false) expect(stores[0].error.hint).toBeTruthy();
          for (const id of subject.containers) expect(await stateOf(id)).toMatchObject({ status: 'exited' });
        } finally {
          for (const id of subject.containers) await startContainer(id);
        }
        await vi.waitFor(async () => expect(await subject.fingerprint()).toBe(before), { timeout: 60_000 });
      });
    }

    spied('is refused while it is empty, unless that is allowed', async () => {
      const empty = await seed.start();
      using fixture = runFor(empty.environment);
      const store = storeFor(seed, empty.target);
      const { stores } = await backup(fixture.run, { stores: [store] });
      expect(stores[0]).toMatchObject({ ok: false, error: { code: 'backup_failed' } });
      const allowed = await backup(fixture.run, { stores: [store], allowEmpty: true });
      expect(allowed.stores[0]).toMatchObject({ ok: true });
    });

    // The last one: it looks at what all the others have said.
    test('says nothing on stdout', () => expect(stdout).toEqual([]));

    afterAll(async () => expect(await helpersLeft()).toEqual([]));
  });
}

/** A good backup comes back; each planted damage passes as a checksum and is found; nothing is left. */
export async function drills(seed: Seed, subject: Subject, { run }: RunFixture): Promise<void> {
  const store = storeFor(seed, subject.target);
  const made = await backedUp(run, store);
  const { drills } = await drill(run, { backups: [], stores: [store] });
  expect(drills).toMatchObject([{ ok: true, findings: [], notChecked: [], counts: made.metadata.counts }]);
  const [{ asked, recoveryMs }] = drills as [DrillVerdict];
  expect(asked).toBe(made.metadata.samples?.length);
  expect(asked).toBeGreaterThan(0);
  const [checked] = (await run.repository.list()).backups;
  expect(checked?.metadata.checks).toMatchObject([{ level: 'drill', ok: true, recovery_ms: recoveryMs }]);
  for (const planted of seed.planted?.(subject) ?? []) await expectFound(run, made, planted);
  expect(await throwawaysLeft()).toEqual([]);
}

/** A server that was stopped for a backup takes a while until it answers again. */
function patient<Asked extends Partial<Subject>>(subject: Asked): Asked {
  const asked = { ...subject };
  for (const name of ['fingerprint', 'items', 'startWriter', 'destroy'] as const) {
    const act = subject[name] as (() => Promise<unknown>) | undefined;
    if (!act) continue;
    const retried = () => vi.waitFor(() => act(), { timeout: 60_000, interval: 100 });
    Object.assign(asked, { [name]: retried });
  }
  return asked;
}

export function restoreOptions(store: ConfiguredStore) {
  return { backup: 'subject@latest', stores: [store], safetyBackup: true, confirm: async () => true };
}

export async function backedUp(run: RunFixture['run'], store: ConfiguredStore): Promise<Backup> {
  const { stores } = await backup(run, { stores: [store] });
  const [result] = stores;
  if (!result?.ok) throw result?.error ?? new Error('nothing was backed up');
  if (!result.backup) throw new Error('there is no backup');
  return result.backup;
}

export async function writtenBy(writer: Writer, count: number): Promise<void> {
  await vi.waitFor(() => expect(writer.acknowledged()).toBeGreaterThanOrEqual(count), {
    timeout: 60_000,
    interval: 10,
  });
}

/** A copy of one moment has every item up to some item, and none after it. */
function expectHistory(items: readonly number[], atLeast: number, atMost: number): void {
  const last = Math.max(0, ...items);
  expect(items.toSorted((a, b) => a - b)).toEqual(Array.from({ length: last }, (_, index) => index + 1));
  expect(last).toBeGreaterThanOrEqual(atLeast);
  expect(last).toBeLessThanOrEqual(atMost);
}
