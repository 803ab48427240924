// From the session to what operations are given, and to the stores that a command works on.
import { relative } from 'node:path';
import process from 'node:process';
import { chooseStores } from '../config/choose-stores.ts';
import type { ConfiguredStore, DiscoverOptions, Settings } from '../config/index.ts';
import { dockerWithoutOrphans, recover } from '../operations/recover.ts';
import type { Run } from '../operations/run.ts';
import { openRepository } from '../repository/index.ts';
import type { Session } from './session.ts';
import { duration } from './values.ts';

/** Also lets go, finishes or removes what crashed runs have left, unless `heals` is false. */
export async function openRun(
  session: Session,
  command: string,
  { heals = true, leavesGuards = false }: { heals?: boolean; leavesGuards?: boolean } = {},
): Promise<Run> {
  const { repository, environment, config, stores } = await session.settings();
  const { wait } = session.flags;
  const run: Run = {
    repository: openRepository(repository, { stores }),
    emit: session.emit,
    signal: session.signal,
    environment,
    docker: session.docker,
    command: `pkbackup ${command}`,
    ...(config?.compressionThreads !== undefined && { compressionThreads: config.compressionThreads }),
    ...(config?.directRead !== undefined && { directRead: config.directRead }),
    ...(wait !== undefined && { lockWaitMs: duration('--wait', wait) }),
  };
  if (!heals) return run;
  const { done } = await recover(run, { clientsRelease: config?.clientsRelease, stores, leavesGuards });
  for (const { message } of done) session.emit({ type: 'warning', message });
  return { ...run, docker: dockerWithoutOrphans(run) };
}

/** The stores named, or all; Docker is asked only for those that the config file does not have. */
export async function storesFor(
  session: Session,
  names: readonly string[],
  flags: DiscoveryFlags = {},
): Promise<ConfiguredStore[]> {
  const settings = await session.settings();
  return chooseStores(names, settings.stores, async (wanted) => {
    const { discoverStores } = await import('../config/discover.ts');
    return discoverStores(await session.docker(), wanted, {
      signal: session.signal,
      ...scopeOf(flags, settings),
    });
  });
}

export interface DiscoveryFlags {
  readonly volume?: string | undefined;
  readonly project?: string | undefined;
}

/** Where stores are looked for: flags, the environment, then the compose project that lies here. */
export function scopeOf(
  flags: DiscoveryFlags,
  { environment, directory }: Pick<Settings, 'environment' | 'directory'>,
): Pick<DiscoverOptions, 'project' | 'volume' | 'directories'> {
  const volume = flags.volume ?? environment.VOLUME_NAME;
  const project = flags.project ?? environment.COMPOSE_PROJECT_NAME;
  // Compose takes the directory as the shell names it, which may be by way of a link.
  const directories = [process.cwd(), directory, environment.PWD ?? ''].filter(Boolean);
  return { directories, ...(volume && { volume }), ...(project && { project }) };
}

/** A path as people would type it here. */
export function shortPath(path: string): string {
  const short = relative(process.cwd(), path);
  if (short === '') return '.';
  return short.startsWith('..') ? path : `./${short.replaceAll('\\', '/')}`;
}
