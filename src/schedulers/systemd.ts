// Services and timers of systemd: files in the directory of the machine's own units, or of the user's.
import { rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { systemdTexts } from '../schedule/index.ts';
import type { Place, Scheduler } from './index.ts';
import { ownFilesIn, writeOwnFile } from './own-files.ts';
import { demandTool, runTool } from './tool.ts';

const endings = ['.service', '.timer'];

export const systemd: Scheduler = {
  name: 'systemd',
  platforms: ['linux'],
  scopes: ['system', 'user'],
  texts: (entry, { scope }, now) => systemdTexts(entry, { scope, now }),
  async install(entry, place, now) {
    const texts = systemdTexts(entry, { scope: place.scope, now });
    // Where systemd does not run, nothing is written.
    await reload(place);
    const directory = directoryOf(place);
    const stale = (await ownFilesIn(directory, entry.id, endings)).filter((name) => {
      return !texts.some((text) => text.name === name);
    });
    await drop(stale, place);
    let hasChanged = stale.length > 0;
    for (const { name, text } of texts) {
      if (await writeOwnFile(join(directory, name), text)) hasChanged = true;
    }
    await reload(place);
    const timers = texts.map(({ name }) => name).filter(isTimer);
    await demandTool('systemctl', [...scopeFlag(place), 'enable', '--now', ...timers], place);
    // One that runs already goes by its old times.
    if (hasChanged) await demandTool('systemctl', [...scopeFlag(place), 'restart', ...timers], place);
    const remark = await lingerRemark(place);
    return {
      names: texts.map(({ name }) => join(directory, name)),
      hasChanged,
      ...(remark !== undefined && { remark }),
    };
  },
  async remove(id, place) {
    const directory = directoryOf(place);
    const names = await ownFilesIn(directory, id, endings);
    if (names.length === 0) return [];
    await drop(names, place);
    await runTool('systemctl', [...scopeFlag(place), 'daemon-reload'], place).catch(() => {});
    return names.map((name) => join(directory, name));
  },
};

const isTimer = (name: string) => name.endsWith('.timer');
const scopeFlag = ({ scope }: Place) => (scope === 'user' ? ['--user'] : []);

function directoryOf({ scope, homeDirectory, environment }: Place): string {
  if (scope === 'system') return '/etc/systemd/system';
  return join(environment.XDG_CONFIG_HOME || join(homeDirectory, '.config'), 'systemd', 'user');
}

async function reload(place: Place): Promise<void> {
  const hint = 'where systemd does not run: pkbackup schedule install cron, or pkbackup run';
  await demandTool('systemctl', [...scopeFlag(place), 'daemon-reload'], place, hint);
}

/** Where systemd does not run no timer does, and the files can go all the same. */
async function drop(names: readonly string[], place: Place): Promise<void> {
  const timers = names.filter(isTimer);
  if (timers.length > 0)
    await runTool('systemctl', [...scopeFlag(place), 'disable', '--now', ...timers], place).catch(() => {});
  for (const name of names) await rm(join(directoryOf(place), basename(name)), { force: true });
}

/** Whether systemd is the first process here. */
export async function isRunningSystemd(): Promise<boolean> {
  return stat('/run/systemd/system').then(
    () => true,
    () => false,
  );
}

async function lingerRemark({ scope, environment }: Place): Promise<string | undefined> {
  const user = environment.USER ?? environment.LOGNAME;
  if (scope !== 'user' || user === undefined) return undefined;
  const lingers = await stat(join('/var/lib/systemd/linger', basename(user))).catch(() => undefined);
  if (lingers) return undefined;
  return `these timers run while "${user}" is logged in; also at other times after: loginctl enable-linger ${user}`;
}
