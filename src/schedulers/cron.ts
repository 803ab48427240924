// The crontab of the user. It belongs to that user, with all that is in it: our lines stand between two marks, everything else
// stays byte for byte, and a crontab that cannot be read is never taken for an empty one.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PkbackupError } from '../errors.ts';
import { cronText, type Entry, marksOf } from '../schedule/index.ts';
import type { Place, Scheduler } from './index.ts';
import { demandTool, missingTool, runTool, toolError } from './tool.ts';

export const cron: Scheduler = {
  name: 'cron',
  platforms: ['linux', 'darwin', 'freebsd', 'openbsd', 'aix', 'sunos'],
  scopes: ['user'],
  texts: (entry, _place, now) => [cronText(entry, now)],
  async install(entry, place, now) {
    const ours = Buffer.from(cronText(entry, now).text).toString('latin1');
    const before = await readCrontab(place).catch((error: unknown) => missingTool(error, withoutCron));
    const after = joined(withoutOurs(before, entry.id), ours);
    if (after !== before) {
      await writeCrontab(after, place);
      await seeThatItIsThere(entry, ours, place);
    }
    return {
      names: [`crontab: ${entry.id}`],
      hasChanged: after !== before,
      remark: 'cron makes up for no time at which the machine was off; pkbackup status tells of it',
    };
  },
  async remove(id, place) {
    const before = await readCrontab(place).catch((error: unknown) => {
      if (error instanceof PkbackupError && error.code === 'not_found') return '';
      throw error;
    });
    const after = withoutOurs(before, id);
    if (after === before) return [];
    await writeCrontab(after, place);
    return [`crontab: ${id}`];
  },
};

/** What is before and after our lines; throws `failed` where their end is missing. */
export function withoutOurs(crontab: string, id: string): string {
  const { begin, end } = marksOf(id);
  const lines = crontab.split('\n');
  const kept: string[] = [];
  let isOurs = false;
  for (const line of lines) {
    if (!isOurs && (line === begin || line.startsWith(`${begin} `))) isOurs = true;
    else if (isOurs && line === end) isOurs = false;
    else if (!isOurs) kept.push(line);
  }
  if (!isOurs) return kept.join('\n');
  throw new PkbackupError('failed', `the crontab has the line "${begin}", and no line "${end}"`, {
    hint: 'remove what is left of the entry with: crontab -e',
  });
}

function joined(others: string, ours: string): string {
  return `${others}${others === '' || others.endsWith('\n') ? '' : '\n'}${ours}`;
}

const withoutCron = 'install cron, or take another one: pkbackup schedule install systemd, or pkbackup run';

async function readCrontab(place: Place): Promise<string> {
  const end = await runTool('crontab', ['-l'], place);
  if (end.exitCode === 0) return end.stdout;
  // That of busybox cannot open the file.
  if (/no crontab for|can't open .*: No such file/i.test(end.stderr)) return '';
  throw toolError('crontab', ['-l'], end);
}

async function writeCrontab(text: string, place: Place): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'pkbackup-crontab-'));
  try {
    const path = join(directory, 'crontab');
    await writeFile(path, text, { encoding: 'latin1', mode: 0o600 });
    await demandTool('crontab', [path], place);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function seeThatItIsThere({ id }: Entry, ours: string, place: Place): Promise<void> {
  if ((await readCrontab(place)).includes(ours)) return;
  throw new PkbackupError('failed', `the crontab was written, and "${id}" is not in it`, {
    hint: 'look at it with: crontab -l',
  });
}
