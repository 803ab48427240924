// What only a terminal sees: questions, Ctrl+C, the display. `script` (util-linux) gives the program one.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { onTerminal } from './on-terminal.ts';
import { makeDirectory, pkbackup } from './program.ts';

const isLinux = process.platform === 'linux';

describe.runIf(isLinux)('on a terminal', () => {
  let cwd: string;

  beforeAll(async () => {
    cwd = makeDirectory({ 'pkbackup.yaml': 'stores: { memory: { kind: directory, path: memory } }\n' });
    mkdirSync(join(cwd, 'memory'));
    writeFileSync(join(cwd, 'memory', 'note.md'), 'old');
    await pkbackup(['backup'], { cwd });
    await pkbackup(['backup'], { cwd });
    writeFileSync(join(cwd, 'memory', 'note.md'), 'new');
  });

  const note = () => readFileSync(join(cwd, 'memory', 'note.md'), 'utf8');

  it('a restore shows its plan, and does nothing when another word is typed', async () => {
    const { exitCode, screen } = await onTerminal(['restore', 'memory@1'], cwd, [['to go on: ', 'yes\n']]);
    expect(exitCode).toBe(6);
    expect(screen).toContain('replaces');
    expect(screen).toContain('cancelled; nothing was changed');
    expect(note()).toBe('new');
  });

  it('Ctrl+C at the question ends with 130 and changes nothing', async () => {
    const { exitCode, screen } = await onTerminal(['restore', 'memory@1'], cwd, [['to go on: ', '\u0003']]);
    expect(exitCode).toBe(130);
    expect(screen).toContain('interrupted; nothing was changed');
    expect(note()).toBe('new');
  });

  it('the end of input is no', async () => {
    const { exitCode } = await onTerminal(['prune', '--keep-last', '1'], cwd, [['[y/N] ', '\u0004']]);
    expect(exitCode).toBe(6);
  });

  it('the name of the store goes on', async () => {
    const { exitCode, screen } = await onTerminal(['restore', 'memory@1'], cwd, [['to go on: ', 'memory\n']]);
    expect(exitCode).toBe(0);
    expect(screen).toContain('is restored');
    expect(note()).toBe('old');
  });

  it('yes removes what the plan shows', async () => {
    const { exitCode, screen } = await onTerminal(['prune', '--keep-last', '1'], cwd, [['[y/N] ', 'y\n']]);
    expect(exitCode).toBe(0);
    expect(screen).toMatch(/moved to the trash, /);
  });

  it('has colour, but not with NO_COLOR, and no display with --quiet', async () => {
    expect((await onTerminal(['list'], cwd)).screen).toContain('\u001b[1mmemory');
    expect((await onTerminal(['list', '--no-color'], cwd)).screen).not.toContain('\u001b[');
    expect((await onTerminal(['backup', '--quiet'], cwd)).screen).toBe('');
  });

  it('the display leaves nothing above the answer', async () => {
    const { screen } = await onTerminal(['backup'], cwd);
    const [, afterDisplay = screen] = /.*\u001b\[\d+A\u001b\[0J(.*)$/s.exec(screen) ?? [];
    expect(afterDisplay).toMatch(/^1 store · repository/);
  });
});
