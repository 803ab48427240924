import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openLogFile } from '../../src/reporters/log-file.ts';

const lost = (message: string) => {
  throw new Error(message);
};

it('the log file has a JSON line for every event but progress, after what was there before', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'pkbackup-')), 'log', 'pkbackup.log');
  const log = openLogFile(path, lost);
  log.emit({ type: 'started', store: 'a', kind: 'sqlite', operation: 'backup' });
  log.emit({ type: 'progress', store: 'a', phase: 'reading', doneBytes: 1 });
  log.emit({ type: 'warning', message: 'careful' });
  log.emit({ type: 'ended', store: 'a', ok: false, message: 'no space' });
  log.close();
  const again = openLogFile(path, lost);
  again.error(new Error('oops'));
  again.close();
  const lines = readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines.map(({ type, level }) => [type, level])).toEqual([
    ['started', 30],
    ['warning', 40],
    ['ended', 50],
    [undefined, 50],
  ]);
  expect(lines.every(({ time }) => !Number.isNaN(Date.parse(time)))).toBe(true);
});

it('a log file that cannot be opened is an error of the configuration', () => {
  const file = join(mkdtempSync(join(tmpdir(), 'pkbackup-')), 'file');
  writeFileSync(file, '');
  expect(() => openLogFile(join(file, 'log'), lost)).toThrow('cannot write the log file');
});
