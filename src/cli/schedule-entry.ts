// From the configuration to what a scheduler is told. It starts pkbackup in an environment of its own, so what counts must be
// in the entry, in the config file or in the .env file beside it: what is only in this shell is found out now, not at night.
import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { access, readlink } from 'node:fs/promises';
import { basename, delimiter, dirname, isAbsolute, join, resolve } from 'node:path';
import process from 'node:process';
import { checkConfig } from '../config/check.ts';
import { ruleVariables } from '../config/choose-policy.ts';
import { configFileNames, loadSettings, type Settings } from '../config/settings.ts';
import { PkbackupError } from '../errors.ts';
import type { Entry, Job } from '../schedule/index.ts';
import type { Scheduler } from '../schedulers/index.ts';
import { flagsAgain, ownProgram } from './own-command.ts';
import { scheduledJobs, systemZone } from './run.ts';
import type { Session } from './session.ts';

/** What pkbackup reads and is no secret. */
const carried = [
  'PATH',
  'DOCKER_HOST',
  'DOCKER_CONTEXT',
  'DOCKER_CONFIG',
  'DOCKER_CERT_PATH',
  'DOCKER_TLS',
  'DOCKER_TLS_VERIFY',
  'XDG_RUNTIME_DIR',
  'COMPOSE_PROJECT_NAME',
  'VOLUME_NAME',
  'TZ',
  ...ruleVariables,
];
/** What may be one, and must stand in a file that only its owner reads. */
const leftOut = ['BACKUP_EMAIL', 'BACKUP_WEBHOOK', 'BACKUP_SMTP'];

/** Throws `config` where the scheduled backup would not have what it needs. */
export async function entryFor(session: Session, scheduler: Scheduler): Promise<Entry> {
  const settings = await session.settings();
  const jobs = scheduledJobs(settings);
  const source = await configPath(session.flags.config);
  const environment = scheduler.name === 'task-scheduler' ? {} : carriedEnvironment(process.env);
  await tryClean(session, source, environment);
  return {
    id: idOf(source),
    source,
    directory: dirname(source),
    environment,
    systemZone: await machineZone(),
    jobs: jobs.map((job) => ({
      schedule: job.schedule,
      argv: argvFor(session, settings, scheduler, source, job),
    })),
  };
}

/** `pkbackup-<directory>-<hash of the path>`, the same for whoever names the config file in whatever way. */
export function idOf(source: string): string {
  const hash = createHash('sha256').update(source).digest('hex').slice(0, 8);
  const slug = basename(dirname(source))
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 24)
    .replaceAll(/^-|-$/g, '');
  return `pkbackup-${slug === '' ? '' : `${slug}-`}${hash}`;
}

/** Also of one that is no longer there: its entry may be removed. */
export async function configPath(flag: string | undefined, cwd = process.cwd()): Promise<string> {
  if (flag !== undefined) return real(resolve(cwd, flag));
  for (const name of configFileNames) {
    const path = join(cwd, name);
    const isThere = await access(path).then(
      () => true,
      () => false,
    );
    if (isThere) return real(path);
  }
  throw new PkbackupError('config', 'there is no config file here', {
    hint: 'name it with --config, or make one with: pkbackup init',
  });
}

/** The directory without links, the file by its own name. */
function real(path: string): string {
  try {
    return join(realpathSync(dirname(path)), basename(path));
  } catch {
    return path;
  }
}

function argvFor(
  session: Session,
  { repository }: Settings,
  { name }: Scheduler,
  source: string,
  { stores = [] }: Job,
): string[] {
  const { flags } = session;
  // Cron sends what is printed as a mail: what goes well is no news.
  const quiet = flags.quiet || (name === 'cron' && !flags.verbose);
  const again = flagsAgain({
    ...flags,
    config: source,
    ...(quiet && { quiet }),
    ...((flags.backupDir || process.env.BACKUP_DIR) && { backupDir: repository }),
  });
  return [...ownProgram(stableNode()), ...again, 'backup', ...stores];
}

/** The name on the PATH, where it is this Node: package managers put the next version under the same name. */
function stableNode(): string {
  const own = realpathSync(process.execPath);
  const name = basename(process.execPath);
  for (const directory of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(directory, name);
    // One of a project's own packages is there only as long as they are.
    if (!isAbsolute(directory) || directory.includes('node_modules')) continue;
    try {
      if (realpathSync(path) === own) return path;
    } catch {
      // Not there.
    }
  }
  return process.execPath;
}

function carriedEnvironment(environment: NodeJS.ProcessEnv): Record<string, string> {
  const found = carried.flatMap((name) => {
    const value = environment[name];
    return value ? [[name, name === 'PATH' ? wholePaths(value) : value] as const] : [];
  });
  return Object.fromEntries(found);
}

/** What belongs to this shell and this directory is not for the night. */
function wholePaths(path: string): string {
  const directories = path.split(delimiter).filter((one) => isAbsolute(one) && !one.includes('node_modules'));
  return [...new Set(directories)].join(delimiter);
}

/** Reads the configuration as the scheduled backup will. */
async function tryClean(
  session: Session,
  source: string,
  environment: Record<string, string>,
): Promise<void> {
  const directory = dirname(source);
  const { mistakes } = await checkConfig({ config: source }, environment, directory);
  if (mistakes.length > 0) {
    const texts = mistakes.map(({ text }) => text).join('\n');
    throw new PkbackupError('config', `the scheduled backup would fail:\n${texts}`, {
      hint: `a scheduler knows nothing of this shell: put variables into "${join(directory, '.env')}"`,
    });
  }
  const clean = await loadSettings({ config: source }, environment, directory);
  const missing = [...leftOut, ...(Object.keys(environment).length === 0 ? dockerVariables : [])].filter(
    (name) => process.env[name] && !clean.environment[name],
  );
  for (const name of missing) {
    session.emit({
      type: 'warning',
      message: `${name} is set in this shell, and the scheduled backup will not have it`,
      hint: dockerVariables.includes(name)
        ? 'set it for the account that the task runs as'
        : `put it into "${join(directory, '.env')}"`,
    });
  }
}

const dockerVariables = carried.filter((name) => name.startsWith('DOCKER_'));

/** That of the schedulers, whatever TZ says in this shell. */
async function machineZone(): Promise<string> {
  if (!process.env.TZ) return systemZone();
  const link = await readlink('/etc/localtime').catch(() => '');
  return /zoneinfo\/(?:posix\/|right\/)?(.+)$/.exec(link)?.[1] ?? 'UTC';
}
