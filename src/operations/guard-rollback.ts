// The way back of a guard: the containers as they were, with their images; the data of the backup; who ran runs again. Each part
// may be done again by another process. The old containers are all made before a new one is removed, so what cannot be made
// again leaves things as they are.
import { type Container, composeProject, composeService, type Docker, isUp } from '../docker/index.ts';
import { messageOf, PkbackupError } from '../errors.ts';
import type { GuardRecord } from '../repository/index.ts';
import { storeOf } from '../stores/index.ts';
import { checkGuarded } from './guard-check.ts';
import { endGuardOrWarn } from './guard-end.ts';
import type { GuardJournal } from './guard-journal.ts';
import { asConfigured, backupOf } from './guarded-store.ts';
import { type RestoreResult, restoreTogether } from './restore.ts';
import type { Run } from './run.ts';

type GuardedContainer = GuardRecord['containers'][number];

export interface RolledBack {
  readonly outcome: 'rolled-back' | 'waiting';
  readonly restored: readonly RestoreResult[];
  /** What was wrong before, or is wrong all the same. */
  readonly findings: readonly string[];
}

const usualGraceSeconds = 30;
const logLines = 20;

/** Rolls back, and says what came of it; what is wrong afterwards waits for a person. */
export async function goBack(
  run: Run,
  journal: GuardJournal,
  because: readonly string[],
): Promise<RolledBack> {
  try {
    const { restored, findings } = await rollBack(run, journal);
    if (findings.length > 0) {
      await journal.note({ step: 'waiting', findings: [...findings] });
      return { outcome: 'waiting', findings, restored };
    }
    await endGuardOrWarn(run, journal);
    return { outcome: 'rolled-back', findings: because, restored };
  } catch (error) {
    const finding = `the way back failed: ${messageOf(error)}`;
    return { outcome: 'waiting', findings: [...because, finding], restored: [] };
  }
}

/** Throws where it could not be done; the journal then says how far it came. */
async function rollBack(run: Run, journal: GuardJournal): Promise<Pick<RolledBack, 'restored' | 'findings'>> {
  let restored: readonly RestoreResult[] = [];
  if (journal.record.step !== 'restored') {
    await journal.note({ step: 'undoing' });
    await putContainersBack(run, journal);
    restored = await restoreData(run, journal.record);
    await journal.note({ step: 'restored' });
  }
  await startThem(run, journal.record, journal.record.containers);
  return { restored, findings: await checkGuarded(run, journal.record) };
}

async function putContainersBack(run: Run, journal: GuardJournal): Promise<void> {
  for (const { id, keeper, made } of journal.record.containers) {
    const docker = await run.docker();
    if (await docker.container(id)) continue;
    if (made !== undefined && (await docker.container(made))) continue;
    await makeAgain(run, docker, journal, keeper);
  }
  for (const one of journal.record.containers) await displace(run, journal.record, one);
  for (const one of journal.record.containers) await giveName(await run.docker(), one);
}

async function makeAgain(run: Run, docker: Docker, journal: GuardJournal, name: string): Promise<void> {
  const { id: guardId, containers } = journal.record;
  const keeper = (await docker.keepers(guardId)).find((each) => each.name === name);
  const old = containers.find((one) => one.keeper === name);
  if (!keeper || !old) {
    throw new PkbackupError('failed', `container "${old?.name}" cannot be made again: "${name}" is gone`, {
      hint: 'somebody has removed it (docker container prune?); start the old version by hand, then restore its backup',
    });
  }
  const { id, image } = await docker.remakeKept(keeper);
  await journal.note({
    containers: containers.map((one) => (one.keeper === name ? { ...one, made: id } : one)),
  });
  run.emit({ type: 'step', message: `made container "${old.name}" again, with image "${image}"` });
  if (image !== keeper.was.image) {
    const message = `"${keeper.was.image}" is another image now, so container "${old.name}" runs "${image}"`;
    const hint = 'name the old version in the compose file, or the next "up" takes the new one again';
    run.emit({ type: 'warning', message, hint });
  }
}

/** Whoever has taken the place of one that comes back: its name, or its part in a compose project. */
async function displace(run: Run, record: GuardRecord, old: GuardedContainer): Promise<void> {
  const docker = await run.docker();
  const back = await backOf(docker, old);
  const isOld = ({ id }: Container) => record.containers.some((one) => one.id === id || one.made === id);
  const all = await docker.containers();
  const usurpers = all.filter((one) => !isOld(one) && (one.name === old.name || isSamePart(one, back)));
  for (const usurper of usurpers) {
    await tellItsLog(run, docker, usurper);
    if (isUp(usurper)) await docker.stop(usurper, graceOf(record));
    await docker.removeContainer(usurper);
    const message = `removed container "${usurper.name}" of image "${usurper.image}"; its volumes stay`;
    run.emit({ type: 'step', message });
  }
}

function isSamePart(one: Container, old: Container): boolean {
  const part = (container: Container) => [
    composeProject(container),
    composeService(container),
    container.labels['com.docker.compose.container-number'],
  ];
  return composeService(old) !== undefined && part(one).join('\n') === part(old).join('\n');
}

/** It goes with the container, and is all that says why the new version did not serve. */
async function tellItsLog({ emit }: Run, docker: Docker, { id, name }: Container): Promise<void> {
  const log = await docker.log(id, { lines: logLines }).catch(() => '');
  for (const line of log.split('\n').filter((each) => each.trim() !== '')) {
    emit({ type: 'step', message: `${name} said: ${line.trim().slice(0, 300)}` });
  }
}

const graceOf = ({ stores }: GuardRecord): number =>
  Math.max(
    ...stores.map(
      ({ kind, graceSeconds }) => graceSeconds ?? storeOf(kind).quiesce.graceSeconds ?? usualGraceSeconds,
    ),
  );

async function backOf(docker: Docker, { id, made, name }: GuardedContainer): Promise<Container> {
  const back =
    (await docker.container(id)) ?? (made === undefined ? undefined : await docker.container(made));
  if (back) return back;
  throw new PkbackupError('failed', `container "${name}" is gone again: somebody else works on it`);
}

async function giveName(docker: Docker, old: GuardedContainer): Promise<void> {
  const back = await backOf(docker, old);
  if (back.name !== old.name) await docker.rename(back, old.name);
}

/** Those that are restored by their server need it; the others are better restored before theirs looks at the data. */
async function restoreData(run: Run, record: GuardRecord): Promise<RestoreResult[]> {
  if (record.stores.some(({ kind }) => storeOf(kind).restoresByServer)) {
    const servers = record.containers.filter(({ isServer }) => isServer);
    await startThem(run, record, servers);
    for (const one of servers) {
      const docker = await run.docker();
      // A server that does not come up says so when it is restored.
      await docker.waitUntilHealthy((await backOf(docker, one)).id).catch(() => undefined);
    }
  }
  const backups = await Promise.all(record.stores.map((store) => backupOf(run, store)));
  return restoreTogether(run, backups, {
    stores: record.stores.map(asConfigured),
    safetyBackup: true,
    confirm: async () => true,
  });
}

/** Servers first; others may give up without them. */
async function startThem(
  run: Run,
  record: GuardRecord,
  containers: readonly GuardedContainer[],
): Promise<void> {
  const failures: string[] = [];
  const inOrder = containers
    .filter(({ isUp: ran }) => ran)
    .toSorted((a, b) => Number(b.isServer) - Number(a.isServer));
  for (const one of inOrder) {
    try {
      const docker = await run.docker();
      const back = await backOf(docker, one);
      if (isUp(back)) continue;
      await docker.start(back);
      if (one.isServer && record.containers.length > 1)
        await docker.waitUntilHealthy(back.id).catch(() => undefined);
    } catch (error) {
      failures.push(messageOf(error));
    }
  }
  if (failures.length > 0) throw new PkbackupError('failed', failures.join('; '));
}
