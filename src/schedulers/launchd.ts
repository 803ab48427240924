// Property lists for launchd: agents of the user, which run while that one is logged in, or daemons of the machine.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { launchdTexts } from '../schedule/index.ts';
import type { Place, Scheduler } from './index.ts';
import { ownFilesIn, writeOwnFile } from './own-files.ts';
import { demandTool, runTool } from './tool.ts';

const ending = '.plist';

export const launchd: Scheduler = {
  name: 'launchd',
  platforms: ['darwin'],
  scopes: ['system', 'user'],
  texts: (entry, place, now) => launchdTexts(entry, { logDirectory: logDirectoryOf(place), now }),
  async install(entry, place, now) {
    const texts = launchdTexts(entry, { logDirectory: logDirectoryOf(place), now });
    const directory = directoryOf(place);
    // Programs do not start where their log cannot be opened.
    await mkdir(logDirectoryOf(place), { recursive: true });
    const stale = (await ownFilesIn(directory, entry.id, [ending])).filter((name) => {
      return !texts.some((text) => text.name === name);
    });
    await drop(stale, place);
    let hasChanged = stale.length > 0;
    for (const { name, text } of texts) {
      const path = join(directory, name);
      const isLoaded = (await runTool('launchctl', ['print', targetOf(name, place)], place)).exitCode === 0;
      if (!(await writeOwnFile(path, text)) && isLoaded) continue;
      hasChanged = true;
      if (isLoaded) await demandTool('launchctl', ['bootout', targetOf(name, place)], place);
      await demandTool('launchctl', ['bootstrap', domainOf(place), path], place);
    }
    return {
      names: texts.map(({ name }) => join(directory, name)),
      hasChanged,
      remark: 'launchd makes up for a time at which the machine slept, and not for one at which it was off',
    };
  },
  async remove(id, place) {
    const names = await ownFilesIn(directoryOf(place), id, [ending]);
    await drop(names, place);
    return names.map((name) => join(directoryOf(place), name));
  },
};

async function drop(names: readonly string[], place: Place): Promise<void> {
  for (const name of names) {
    await runTool('launchctl', ['bootout', targetOf(name, place)], place).catch(() => {});
    await rm(join(directoryOf(place), name), { force: true });
  }
}

function directoryOf({ scope, homeDirectory }: Place): string {
  return scope === 'system' ? '/Library/LaunchDaemons' : join(homeDirectory, 'Library', 'LaunchAgents');
}

function logDirectoryOf({ scope, homeDirectory }: Place): string {
  return scope === 'system' ? '/Library/Logs/pkbackup' : join(homeDirectory, 'Library', 'Logs', 'pkbackup');
}

const domainOf = ({ scope, userId }: Place) => (scope === 'system' ? 'system' : `gui/${userId ?? 501}`);
const targetOf = (name: string, place: Place) => `${domainOf(place)}/${name.slice(0, -ending.length)}`;
