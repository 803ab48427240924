// Restoring a Neo4j on this host: staged beside its data and swapped in by renaming, as every directory is. Dumps are loaded
// by neo4j-admin where they are staged. All of it belongs to whom the present data belongs to.
import { chmod, chown, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import process from 'node:process';
import { packTree } from '../../archive/pack-tree.ts';
import { planDirectoryRestore, resumeDirectoryRestore } from '../directory-restore.ts';
import type {
  BackupFacts,
  Content,
  Restoration,
  RestoreOptions,
  RestoreState,
  ResumedRestore,
  Snapshot,
  StoreContext,
} from '../store.ts';
import type { Neo4jTarget } from './data.ts';
import { type HostAdmin, loadOnHost, versionOnHost } from './host-admin.ts';
import { dataDirectoryOf, isRunning, serverOnHost } from './on-host.ts';
import { StoreCounter } from './records.ts';
import { ownerOf, reowned } from './reown.ts';
import {
  checkRunning,
  countsWithoutServer,
  formOf,
  refuseOlder,
  refuseOtherCounts,
  stagedCounts,
  warnOfUsers,
} from './restored.ts';

export async function planHostRestore(
  target: Neo4jTarget,
  backup: BackupFacts,
  { beside }: RestoreOptions,
  context: StoreContext,
): Promise<Restoration> {
  const { environment, signal, emit, store } = context;
  const path = await dataDirectoryOf(target);
  const owner = await ownerOf(path);
  const admin: HostAdmin = { target, environment, signal, owner };
  refuseOlder(await versionOnHost(admin), backup.storeVersion);
  const ranBefore = await isRunning(target);
  const counter = new StoreCounter();
  const restoration = await planDirectoryRestore({ path }, backup, { beside }, context);
  const stage = restoration.stage.bind(restoration);
  const stageFiles = (content: Content) => stage({ tar: () => counter.tap(reowned(content.tar(), owner)) });
  const stageDumps = async (content: Content) => {
    await stage(content, (directory) => load(admin, directory, content, counter));
    emit({ type: 'step', store, message: 'loaded the dumps where they are staged' });
    if (!counter.databases.includes('system')) warnOfUsers(context);
  };
  return Object.assign(restoration, {
    async stage(content: Content) {
      await ((await formOf(content)) === 'files' ? stageFiles(content) : stageDumps(content));
      if (restoration.plan.replaces) await restoration.giveRootAttributes();
      refuseOtherCounts(counter, backup);
    },
    async check() {
      // It has been started, and may not be seen to run yet.
      if (!ranBefore && !(await isRunning(target))) return countsWithoutServer(counter, backup, context);
      const staged = stagedCounts(counter, backup) ?? {};
      const databases = counter.databases;
      const asOwner = async () => '';
      const server = await serverOnHost(target, context);
      return checkRunning(server, { staged, databases, owner: asOwner, whatever: '' }, context);
    },
    previous: countedPrevious(restoration),
  });
}

export async function resumeHostRestore(
  target: Neo4jTarget,
  state: RestoreState,
  backup: BackupFacts,
  context: StoreContext,
): Promise<ResumedRestore> {
  const path = await dataDirectoryOf(target);
  const restoration = await resumeDirectoryRestore({ path }, state, backup, context);
  return Object.assign(restoration, { previous: countedPrevious(restoration) });
}

/** Of a Neo4j, not of a directory. */
function countedPrevious(restoration: ResumedRestore): () => Promise<Snapshot | undefined> {
  const previous = restoration.previous.bind(restoration);
  return async () => {
    const snapshot = await previous();
    if (!snapshot) return undefined;
    const counter = new StoreCounter();
    return {
      ...snapshot,
      tar: counter.tap(snapshot.tar),
      get counts() {
        return counter.counts() ?? {};
      },
    };
  };
}

/** In a directory of ours, which the owner of the data must be let into. */
async function load(
  admin: HostAdmin,
  directory: string,
  content: Content,
  counter: StoreCounter,
): Promise<void> {
  const { owner, signal } = admin;
  await mkdir(directory, { mode: 0o700 });
  if (process.getuid?.() === 0) {
    await chown(directory, owner.uid, owner.gid);
    await chmod(dirname(directory), 0o711);
  }
  await loadOnHost(admin, directory, content.tar());
  for await (const _ of counter.tap(packTree(directory, { signal }))) signal.throwIfAborted();
}
