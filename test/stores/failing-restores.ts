// What every kind owes to those whose restore fails: the previous data in place, the store running, the exit code, and a
// message that says exactly that. Each kind tells for each fault how it is brought about, or why there is no such fault.
import { cpSync, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { ConfiguredStore } from '../../src/config/types.ts';
import { exitCodeOf, PkbackupError } from '../../src/errors.ts';
import { type ConfirmedPlan, type RestoreOptions, restore } from '../../src/operations/restore.ts';
import type { Run } from '../../src/operations/run.ts';
import { type Backup, findBackups } from '../../src/repository/index.ts';
import { helpersLeft, stateOf } from '../docker/bed.ts';
import { makeRun, type RunFixture } from '../operations/run-fixture.ts';
import { backedUp } from './conformance.ts';

export const faults = {
  damaged: 'damaged content that its checksum passes',
  dead: 'a server that does not start on the restored data',
  sick: 'health that never comes',
  full: 'a disk that is full while it is staged',
  cut: 'a connection that somebody kills',
} as const;
export type Fault = keyof typeof faults;

/** Where a failed restore leaves things, in the words of its message. */
export const states = {
  proved: /nothing was touched/,
  staged: /; the present data was not touched$/,
  swapped: /; the previous data is back in place/,
} as const;

export interface Stage extends RunFixture {
  readonly backup: Backup;
}

export interface Failing {
  /** Tells variants of one fault apart. */
  readonly what?: string;
  /** Before the restore: spoils the backup, or the run. What it gives replaces the options. */
  arrange(stage: Stage): Promise<{ run?: Run; confirm?: (plan: ConfirmedPlan) => Promise<void> } | void>;
  /** After it: makes it possible again. */
  settle?(): Promise<void> | void;
  readonly exitCode: 4 | 5;
  readonly message: RegExp;
  readonly state: keyof typeof states;
}

export interface Subject {
  readonly store: ConfiguredStore;
  readonly environment?: Readonly<Record<string, string>>;
  /** Ids of those that run before and MUST run after it. */
  readonly containers: readonly string[];
  /** Makes the data that is backed up, and then other data, which is present when a restore fails. */
  put(content: 'saved' | 'present'): Promise<void>;
  /** Everything that is there; retried while the store comes back. */
  look(): Promise<string>;
  /** Names that lie where the data lies. */
  names(): Promise<readonly string[]>;
  readonly faults: Readonly<Record<Fault, readonly Failing[] | `none: ${string}`>>;
}

/** `start` is called once; every fault begins with the same backup and the same present data. */
export function failingRestores(kind: string, start: () => Promise<Subject>): void {
  describe(`a restore of ${kind} that fails`, () => {
    let subject: Subject;
    let fixture: RunFixture;
    let backup: Backup;
    let present: string;

    beforeAll(async () => {
      subject = await start();
      fixture = makeRun();
      const run = { ...fixture.run, environment: { ...process.env, ...subject.environment } };
      fixture = { ...fixture, run };
      await subject.put('saved');
      backup = await backedUp(run, subject.store);
      await subject.put('present');
      present = await looked();
    });
    afterAll(() => fixture[Symbol.dispose]());

    const looked = () => vi.waitFor(() => subject.look(), { timeout: 60_000, interval: 100 });

    const fails = async (failing: Failing) => {
      const copy = await copyOf(fixture.run, backup);
      const changed = (await failing.arrange({ ...fixture, backup: copy })) ?? {};
      const run = changed.run ?? fixture.run;
      let error: unknown;
      try {
        error = await restore(run, optionsFor(subject.store, copy, changed.confirm)).then(
          () => expect.fail('it was restored'),
          (thrown: unknown) => thrown,
        );
      } finally {
        await failing.settle?.();
      }
      expect(error).toBeInstanceOf(PkbackupError);
      const { message, hint = '' } = error as PkbackupError;
      expect(message).toMatch(failing.message);
      expect(`${message}${failing.state === 'proved' ? ` ${hint}` : ''}`).toMatch(states[failing.state]);
      expect(message).not.toContain('\n');
      expect(exitCodeOf(error)).toBe(failing.exitCode);
      // At once: who is asked for later would perhaps have been started by somebody else.
      for (const id of subject.containers) expect(await stateOf(id)).toMatchObject({ status: 'running' });
      expect(await looked()).toBe(present);
      expect((await subject.names()).filter((name) => name.includes('pkbackup'))).toEqual([]);
      expect(await helpersLeft()).toEqual([]);
      const journal = join(fixture.run.repository.directory, '.pkbackup', 'journal');
      expect(existsSync(journal) ? readdirSync(journal) : []).toEqual([]);
    };

    // The table is asked for before there is a subject: so each fault is one test, whatever it has.
    for (const fault of Object.keys(faults) as Fault[]) {
      test(`because of ${faults[fault]}`, async ({ annotate }) => {
        const all = subject.faults[fault];
        if (typeof all === 'string') {
          expect(all).toMatch(/^none: ./);
          await annotate(all);
          return;
        }
        for (const failing of all) await fails(failing);
      });
    }
  });
}

/** Where faults spoil the backup, the next one needs it whole. */
async function copyOf(run: Run, backup: Backup): Promise<Backup> {
  const [again] = await findBackups(backup.stem, await run.repository.list());
  if (!again || !('stem' in again)) throw new Error('the backup is gone');
  const kept = join(run.repository.directory, '..', 'kept');
  const names = readdirSync(run.repository.directory).filter((name) => name.startsWith(backup.stem));
  if (!existsSync(kept)) {
    for (const name of names) cpSync(join(run.repository.directory, name), join(kept, name));
  }
  for (const name of names) cpSync(join(kept, name), join(run.repository.directory, name));
  return backup;
}

function optionsFor(
  store: ConfiguredStore,
  backup: Backup,
  confirm?: (plan: ConfirmedPlan) => Promise<void>,
): RestoreOptions {
  return {
    backup: backup.stem,
    stores: [store],
    safetyBackup: true,
    async confirm(plan) {
      await confirm?.(plan);
      return true;
    },
  };
}
