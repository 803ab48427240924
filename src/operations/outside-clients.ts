// Writers that live outside Docker: a program of the user's holds them, another lets them go. Whatever happens between the
// two, the second one runs: here, by a child when this process dies, or by the next command when that died, too. What is on
// disk says only that they are held; which program lets them go, the configuration says.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { CommandLine } from '../config/types.ts';
import { messageOf, PkbackupError } from '../errors.ts';
import { thisProcess } from '../owner.ts';
import { journalNameOf } from '../repository/index.ts';
import { ChildPipe } from './child-pipe.ts';
import type { RecoveredThing } from './recover.ts';
import { guardOf, type Run } from './run.ts';
import { failureOf, insist, isOrphan, runUserProgram, type UserProgram } from './user-programs.ts';

export interface OutsideClients {
  readonly hold: CommandLine;
  /** MUST be fit to run more than once, and where nobody is held. */
  readonly release: CommandLine;
}

export interface OutsideHold {
  /** Throws `failed` where they could not be let go; the next command tries again. */
  release(): Promise<void>;
}

export interface PreparedOutsideHold extends AsyncDisposable {
  /** When it throws, they have been let go. */
  hold(): Promise<OutsideHold>;
}

type HoldRun = Pick<Run, 'emit' | 'signal' | 'repository' | 'environment'>;

const suffix = '.clients.json';

/** The part that takes time and holds nobody. */
export async function prepareOutsideHold(
  run: HoldRun,
  clients: OutsideClients,
): Promise<PreparedOutsideHold> {
  const name = journalNameOf('clients', new Date(), randomBytes(4).toString('hex'), suffix);
  const { journal } = run.repository;
  await journal.write(name, JSON.stringify({ type: 'pkbackup-clients', version: 1, owner: thisProcess() }));
  const guard = await startGuard(run, clients, name).catch(async (error: unknown) => {
    await journal.remove(name);
    throw error;
  });
  let isTouched = false;
  const end = async () => {
    await guard.end();
    await journal.remove(name);
  };
  const release = async () => {
    await letGo(run, clients.release);
    await end();
  };
  return {
    async hold() {
      isTouched = true;
      const ended = await runUserProgram(run.emit, programOf('hold', clients.hold), run.signal);
      if (ended.exitCode === 0) return { release };
      await release();
      run.signal.throwIfAborted();
      throw new PkbackupError('backup_failed', failureOf('clients_hold', clients.hold, ended), {
        hint: 'the clients were let go; nothing was backed up',
      });
    },
    [Symbol.asyncDispose]: async () => {
      if (!isTouched) await end();
    },
  };
}

/** For `release-child.ts`. */
export interface ReleaseOrder {
  readonly release: CommandLine;
  /** Path of what says that they are held; removed when they are not any more. */
  readonly marker: string;
}

function startGuard(run: HoldRun, { release }: OutsideClients, name: string): Promise<ChildPipe> {
  const order: ReleaseOrder = { release, marker: join(guardOf(run).journalDirectory, name) };
  return ChildPipe.start('release-child', order);
}

function programOf(what: 'hold' | 'release', command: CommandLine): UserProgram {
  return { key: `clients_${what}`, command, variables: { PKBACKUP_CLIENTS: what } };
}

/** Not cut short by the signal of the run. */
async function letGo({ emit }: Pick<Run, 'emit'>, release: CommandLine): Promise<void> {
  const failed = await insist(emit, programOf('release', release));
  if (!failed) return;
  throw new PkbackupError('failed', failureOf('clients_release', release, failed), {
    hint: 'the clients may still be held: see to it, then run "pkbackup recover"',
  });
}

/** Clients that crashed runs held are let go by what the configuration of today says. */
export async function recoverClients(
  run: Pick<Run, 'repository' | 'emit'>,
  options: { readonly release: CommandLine | undefined; readonly dryRun: boolean },
): Promise<RecoveredThing[]> {
  const { journal, directory } = run.repository;
  const orphans = (await journal.read(suffix)).filter(({ text }) => isOrphan(text));
  if (orphans.length === 0) return [];
  const { release, dryRun } = options;
  if (!release) {
    const path = join(directory, '.pkbackup', 'journal', orphans[0]?.name ?? '');
    const message = `a run that crashed held clients, and no clients_release is configured to let them go; once they run, remove "${path}"`;
    return [{ message, ok: false }];
  }
  if (dryRun) return [{ message: 'would let go the clients that a run that crashed held', ok: true }];
  try {
    await letGo(run, release);
  } catch (error) {
    return [{ message: `a run that crashed held clients: ${messageOf(error)}`, ok: false }];
  }
  for (const { name } of orphans) await journal.remove(name);
  return [{ message: 'let go the clients that a run that crashed held', ok: true }];
}
