// A restore in its steps. Each database of the backup is restored into a new one beside, from template0, checked there row by
// row, and renamed into place, all in one transaction; what was there before keeps its data under another name until the
// end. Undoing is renaming back, and asks the server what is where, because nobody knows how far a failure got.
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { messageOf, PkbackupError } from '../../errors.ts';
import type { Counts } from '../../words.ts';
import type { BackupFacts, Content, Restoration, RestorePlan, Snapshot, StoreContext } from '../store.ts';
import { type ArchivedFile, archivedFiles, textOf } from './archived-files.ts';
import {
  type Cluster,
  isMadeBy,
  isOwn,
  lookAtContents,
  lookAtSurroundings,
  ownNameFor,
  type Surroundings,
} from './cluster.ts';
import { addDump, differences, noCounts } from './counts.ts';
import { dumpDatabases } from './dump-databases.ts';
import { databaseOf } from './file-names.ts';
import { globalsName, missingRoles } from './globals.ts';
import { dropRole, makeRoles, rolesMadeBy, unmarkRoles } from './made-roles.ts';
import {
  dropDatabase,
  openDatabases,
  presentDatabases,
  renameDatabases,
  untilItAnswers,
} from './rename-databases.ts';
import { restoreDump } from './restore-dump.ts';
import type { Server } from './server.ts';

/** One database of the backup under a new name, or (without a name) all of it into another server. */
export interface Beside {
  readonly original?: string;
  readonly name?: string;
}

export interface RestoreTarget {
  readonly databases?: readonly string[] | undefined;
  readonly beside?: Beside | undefined;
}

export interface RestoreOptions {
  readonly server: Server;
  readonly cluster: Cluster;
  readonly target: RestoreTarget;
  readonly backup: BackupFacts;
  readonly context: StoreContext;
  readonly beside: boolean;
}

export const quoted = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(', ');

/** In another server a database that somebody's init made, and nobody filled, is in nobody's way. */
export async function refuseExisting(server: Server, name: string, isNamed: boolean): Promise<void> {
  if (!isNamed && (await lookAtContents(server, name)).isEmpty) return;
  throw new PkbackupError(
    'restore_failed',
    `database "${name}" is there already in ${server.where}; nothing was restored`,
    { hint: 'choose another name with --to, or restore without --to to replace it' },
  );
}

const stagedSchema = z.object({
  name: z.string(),
  staged: z.string().refine((name) => isOwn({ name })),
  previous: z.string().refine((name) => isOwn({ name })),
  oid: z.number(),
  tables: z.number(),
  /** Whether the present one of that name allows connections; undefined where there is none. */
  wasOpen: z.boolean().optional(),
});
type StagedDatabase = z.infer<typeof stagedSchema>;

/** What a process that finds this restore broken off must know; the rest it asks the server. */
export const stateSchema = z.object({
  id: z.string().regex(/^[0-9a-f]{8}$/),
  /** Of the sessions of the process that is dead: what it had begun in the container goes on without it. */
  applicationName: z.string(),
  replaces: z.boolean(),
  staged: z.array(stagedSchema),
});
export type DatabasesState = z.infer<typeof stateSchema>;

export class DatabasesRestoration implements Restoration {
  readonly plan: RestorePlan;
  readonly #options: RestoreOptions;
  /** Version of pg_restore. */
  readonly #tool: string;
  readonly #id: string;
  #staged: StagedDatabase[];
  #isBegun = false;
  /** Staged databases so far, those that failed too. */
  #begun = 0;
  #counts: Counts = noCounts();

  constructor(options: RestoreOptions, plan: RestorePlan, tool: string, state?: DatabasesState) {
    this.#options = options;
    this.#tool = tool;
    this.plan = plan;
    this.#id = state?.id ?? randomBytes(4).toString('hex');
    this.#staged = state?.staged ?? [];
  }

  get state(): DatabasesState {
    const { applicationName } = this.#options.server;
    return { id: this.#id, applicationName, replaces: this.plan.replaces, staged: this.#staged };
  }

  async stage(content: Content): Promise<void> {
    const { server, backup, target } = this.#options;
    if (this.#isBegun) await this.#dropMade(server);
    this.#isBegun = true;
    this.#counts = noCounts();
    const surroundings = await lookAtSurroundings(server, this.#admin);
    let hasRoles = false;
    let isAll = true;
    for await (const file of archivedFiles(content)) {
      if (file.name === globalsName) {
        await this.#makeMissingRoles(await textOf(file), surroundings);
        hasRoles = true;
        continue;
      }
      if (!hasRoles) throw new PkbackupError('bad_backup', `"${file.name}" comes before "${globalsName}"`);
      const original = databaseOf(file.name);
      const name = this.#nameFor(original);
      if (name === undefined) isAll = false;
      else await this.#stageDatabase(file, { original, name, surroundings });
    }
    this.#refuseMissing();
    const wrong = isAll && target.beside?.name === undefined ? differences(this.#counts, backup.counts) : [];
    if (wrong.length > 0)
      throw new PkbackupError('bad_backup', `what was staged is not what was saved: ${wrong.join('; ')}`);
  }

  /** Undefined for a database that is not wanted. */
  #nameFor(original: string): string | undefined {
    const { beside, databases } = this.#options.target;
    if (databases && !databases.includes(original)) return undefined;
    if (beside?.name === undefined) return original;
    return beside.original === undefined || beside.original === original ? beside.name : undefined;
  }

  #refuseMissing(): void {
    const { databases, beside } = this.#options.target;
    const wanted =
      beside?.name !== undefined ? [beside.name] : (databases ?? this.#options.backup.databases ?? []);
    const missing = wanted.find((name) => !this.#staged.some((one) => one.name === name));
    if (missing !== undefined)
      throw new PkbackupError('bad_backup', `database "${missing}" is not in the backup`);
    if (this.#staged.length === 0)
      throw new PkbackupError('bad_backup', 'there is no database in the backup');
  }

  async #makeMissingRoles(globals: string, { roles }: Surroundings): Promise<void> {
    const { server, context } = this.#options;
    const missing = missingRoles(globals, roles);
    if (missing.names.length === 0) return;
    await makeRoles(server, this.#admin, missing, this.#id);
    context.emit({
      type: 'step',
      store: context.store,
      message: `made the missing roles ${quoted(missing.names)}`,
    });
  }

  async #stageDatabase(
    file: ArchivedFile,
    { original, name, surroundings }: { original: string; name: string; surroundings: Surroundings },
  ): Promise<void> {
    const { server, cluster, backup, context, beside, target } = this.#options;
    if (this.#staged.some((one) => one.name === name)) {
      const message = `the backup has several databases, and "${name}" can be only one of them`;
      throw new PkbackupError('ambiguous', message, { hint: `say --to ${original}=${name}` });
    }
    const present = (await presentDatabases(server, this.#admin)).get(name);
    if (beside && present) await refuseExisting(server, name, target.beside?.name !== undefined);
    const index = this.#begun;
    this.#begun += 1;
    const staged = ownNameFor(name, 'staged', this.#id, index);
    context.emit({ type: 'step', store: context.store, message: `restoring database "${original}" beside` });
    const { toc, counts, oid, tables } = await restoreDump(file, {
      server,
      cluster,
      surroundings,
      tool: this.#tool,
      admin: this.#admin,
      staged,
      original,
      largeObjects: backup.counts.large_objects,
      context,
    });
    const previous = ownNameFor(name, 'previous', this.#id, index);
    const wasOpen = present === undefined ? {} : { wasOpen: present.canConnect };
    this.#staged = [...this.#staged, { name, staged, previous, oid, tables, ...wasOpen }];
    addDump(this.#counts, toc, counts);
  }

  async swap(): Promise<void> {
    const { server } = this.#options;
    const present = await presentDatabases(server, this.#admin);
    if (this.#staged.every(({ name, oid }) => present.get(name)?.oid === oid)) return;
    const replaced = this.#staged.filter(({ name }) => present.has(name));
    for (const { name } of replaced) await this.#refuseUnplanned(name);
    const close = replaced.map(({ name }) => name).filter((name) => present.get(name)?.canConnect);
    await renameDatabases(server, this.#admin, close, [
      ...replaced.map(({ name, previous }) => ({ from: name, to: previous })),
      ...this.#staged.map(({ name, staged }) => ({ from: staged, to: name })),
    ]);
  }

  /** What was not there when the plan was shown is not ours to replace. */
  async #refuseUnplanned(name: string): Promise<void> {
    const { server, cluster, beside, target } = this.#options;
    if (beside) return refuseExisting(server, name, target.beside?.name !== undefined);
    const wasThere = this.#staged.some((one) => one.name === name && one.wasOpen !== undefined);
    if (wasThere && cluster.databases.some((one) => one.name === name)) return;
    throw new PkbackupError('restore_failed', `somebody has made a database "${name}" meanwhile`);
  }

  async check(): Promise<Counts> {
    const { server } = this.#options;
    const present = await presentDatabases(server, this.#admin);
    for (const { name, oid, tables } of this.#staged) {
      if (present.get(name)?.oid !== oid)
        throw new PkbackupError('restore_failed', `database "${name}" is another one`);
      const found = await lookAtContents(server, name);
      if (found.tables === tables) continue;
      throw new PkbackupError(
        'restore_failed',
        `database "${name}": expected ${tables} tables, found ${found.tables}`,
      );
    }
    return this.#counts;
  }

  async rollback(): Promise<void> {
    const server = this.#options.server.uninterrupted();
    await untilItAnswers(server, this.#admin);
    const present = await presentDatabases(server, this.#admin);
    const back = this.#staged.filter(({ previous }) => present.has(previous));
    const inPlace = back.filter(({ name }) => present.has(name));
    await renameDatabases(
      server,
      this.#admin,
      inPlace.map(({ name }) => name),
      [
        ...inPlace.map(({ name, staged }) => ({ from: name, to: staged })),
        ...back.map(({ name, previous }) => ({ from: previous, to: name })),
      ],
    );
    await this.#reopen(server);
    await this.#dropMade(server);
  }

  /** Closed by `swap`, whether it went on from there or not. */
  async #reopen(server: Server): Promise<void> {
    const present = await presentDatabases(server, this.#admin);
    const closed = this.#staged.filter(
      ({ name, oid, wasOpen }) => wasOpen && present.has(name) && present.get(name)?.oid !== oid,
    );
    await openDatabases(
      server,
      this.#admin,
      closed.map(({ name }) => name),
    );
  }

  /** Databases by name or, where one has its name already because nothing was there before, by oid; then the roles. */
  async #dropMade(server: Server): Promise<void> {
    const oids = new Set(this.#staged.map(({ oid }) => oid));
    for (const [name, { oid }] of await presentDatabases(server, this.#admin)) {
      const isMade = isMadeBy(name, 'staged', this.#id) || oids.has(oid);
      if (isMade) await dropDatabase(server, this.#admin, name);
    }
    for (const role of await rolesMadeBy(server, this.#admin, this.#id)) {
      await this.#warnWhereNot(`drop the role "${role}", made for the restore`, () =>
        dropRole(server, this.#admin, role),
      );
    }
    this.#staged = [];
  }

  async previous(): Promise<Snapshot | undefined> {
    const { server, context } = this.#options;
    const present = await presentDatabases(server, this.#admin);
    const kept = this.#staged.filter(({ previous }) => present.has(previous));
    // The marks would be saved with the roles.
    await this.#unmarkRoles(server);
    if (kept.length === 0) return undefined;
    await openDatabases(
      server,
      this.#admin,
      kept.map(({ previous }) => previous),
    );
    const databases = kept.map(({ name, previous }) => ({ name, present: previous }));
    return dumpDatabases(server, databases, this.#admin, context);
  }

  /** The restore is done when this is called: what cannot be dropped is said, and stays. */
  async discard(): Promise<void> {
    const server = this.#options.server.uninterrupted();
    for (const name of (await presentDatabases(server, this.#admin)).keys()) {
      if (!isMadeBy(name, 'previous', this.#id)) continue;
      await this.#warnWhereNot(`drop the previous database "${name}"`, () =>
        dropDatabase(server, this.#admin, name),
      );
    }
    await this.#unmarkRoles(server);
  }

  async #unmarkRoles(server: Server): Promise<void> {
    await unmarkRoles(server, this.#admin, await rolesMadeBy(server, this.#admin, this.#id));
  }

  async #warnWhereNot(what: string, act: () => Promise<void>): Promise<void> {
    const { store, emit } = this.#options.context;
    try {
      await act();
    } catch (error) {
      const hint = 'drop it yourself when nothing uses it any more';
      emit({ type: 'warning', store, message: `cannot ${what}: ${messageOf(error)}`, hint });
    }
  }

  /** A database to ask that is not renamed itself. */
  get #admin(): string {
    const names = this.#staged.map(({ name }) => name);
    const { admin } = this.#options.cluster;
    return [admin, 'postgres', 'template1'].find((name) => !names.includes(name)) ?? admin;
  }
}
