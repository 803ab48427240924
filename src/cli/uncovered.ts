// After a backup of everything: what is in no backup is named, because nobody looks for what is not there.
import { findUncovered } from '../config/index.ts';
import { messageOf } from '../errors.ts';
import type { StoreResult } from '../operations/backup.ts';
import type { Run } from '../operations/run.ts';
import { plural } from '../reporters/format.ts';
import type { Session } from './session.ts';

/** Names of volumes; undefined where it cannot be known, because a store said nothing of where its data lies. */
export async function tellUncovered(
  session: Session,
  run: Run,
  results: readonly StoreResult[],
): Promise<readonly string[] | undefined> {
  const sources = await sourcesOf(run, results);
  const projects = [...new Set(sources?.flatMap((source) => source.compose_project ?? []))];
  if (sources === undefined || projects.length === 0) return undefined;
  const { config } = await session.settings();
  try {
    const volumes = sources.flatMap(({ volume }) => volume ?? []);
    const covered = { volumes, projects, ignored: config?.ignoreVolumes ?? [] };
    const uncovered = await findUncovered(await run.docker(), covered, run.signal);
    if (uncovered.length > 0) tell(run, uncovered);
    return uncovered.map(({ name }) => name);
  } catch (error) {
    run.signal.throwIfAborted();
    run.emit({
      type: 'warning',
      message: `volumes that no store saves were not looked for: ${messageOf(error)}`,
    });
    return undefined;
  }
}

function tell(run: Run, uncovered: readonly { name: string; users: readonly string[] }[]): void {
  const names = uncovered.map(({ name, users }) => {
    return users.length === 0 ? `"${name}"` : `"${name}" (mounted by ${[...new Set(users)].join(', ')})`;
  });
  const [{ name } = { name: '' }] = uncovered;
  run.emit({
    type: 'warning',
    message: `${plural(uncovered.length, 'volume')} in no backup: ${names.join(', ')}`,
    hint: `add what matters (pkbackup init --add ${name}), and name the rest in ignore_volumes of pkbackup.yaml`,
  });
}

/** A store that failed, or was skipped, saves what its last backup was of. */
async function sourcesOf(run: Run, results: readonly StoreResult[]) {
  const { backups } = await run.repository.list();
  const sources = results.map((result) => {
    if (result.ok && result.backup) return result.backup.metadata.source;
    if (result.ok && !result.skipped) return result.look.source;
    return backups.find(({ store }) => store === result.store.name)?.metadata.source;
  });
  return sources.every((source) => source !== undefined) ? sources : undefined;
}
