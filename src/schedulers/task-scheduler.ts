// Tasks of the Windows Task Scheduler, in a folder of our own, told by schtasks.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isNameOf, taskTexts } from '../schedule/index.ts';
import type { Place, Scheduler } from './index.ts';
import { demandTool, runTool } from './tool.ts';

const folder = '\\pkbackup\\';

export const taskScheduler: Scheduler = {
  name: 'task-scheduler',
  platforms: ['win32'],
  scopes: ['system', 'user'],
  texts: (entry, { scope }, now) => taskTexts(entry, { scope, now }),
  async install(entry, place, now) {
    const texts = taskTexts(entry, { scope: place.scope, now });
    const there = await ownTasks(entry.id, place);
    for (const { name, text } of texts) await create(name, text, place);
    const stale = there.filter((name) => !texts.some((text) => text.name === name));
    for (const name of stale) await remove(name, place);
    return {
      names: texts.map(({ name }) => name),
      hasChanged: true,
      remark:
        place.scope === 'user'
          ? 'the task runs while you are logged on; with --system it always does, as SYSTEM'
          : 'the task runs as SYSTEM, which has its own home directory and its own environment',
    };
  },
  async remove(id, place) {
    const names = await ownTasks(id, place).catch(() => []);
    for (const name of names) await remove(name, place);
    return names;
  },
};

/** UTF-16 with its mark: schtasks takes nothing else for what it is. */
async function create(name: string, text: string, place: Place): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'pkbackup-task-'));
  try {
    const path = join(directory, 'task.xml');
    await writeFile(path, `\uFEFF${text}`, 'utf16le');
    await demandTool('schtasks', ['/Create', '/TN', name, '/XML', path, '/F'], place);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function remove(name: string, place: Place): Promise<void> {
  await demandTool('schtasks', ['/Delete', '/TN', name, '/F'], place);
}

/** A folder that is not there yet is said with an exit code of 1. */
async function ownTasks(id: string, place: Place): Promise<string[]> {
  const { exitCode, stdout } = await runTool('schtasks', ['/Query', '/FO', 'CSV', '/NH'], place);
  if (exitCode !== 0) return [];
  const names = stdout.split(/\r?\n/).flatMap((line) => /^"([^"]+)"/.exec(line)?.[1] ?? []);
  return [...new Set(names)].filter((name) => {
    return name.startsWith(folder) && isNameOf(id, name.slice(folder.length));
  });
}
