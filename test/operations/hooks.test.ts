// Hooks around a run and around a store: small programs of Node that write down what they were told.
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { CommandLine } from '../../src/config/types.ts';
import { PkbackupError } from '../../src/errors.ts';
import type { Event } from '../../src/events.ts';
import { withHooks } from '../../src/operations/hooks.ts';
import { hideFromTexts } from '../../src/secret.ts';

let told: string;
let events: Event[];
let stop: AbortController;

beforeEach(() => {
  told = join(mkdtempSync(join(tmpdir(), 'pkbackup-')), 'told');
  events = [];
  stop = new AbortController();
});

/** Appends its own variables of ours to a file, and ends as it is told to. */
function hook(exitCode = 0, more = ''): CommandLine {
  const program = `const fs = require('fs');
    const facts = Object.entries(process.env).filter(([name]) => name.startsWith('PKBACKUP_'));
    fs.appendFileSync(process.argv[1], JSON.stringify(Object.fromEntries(facts)) + '\\n');
    ${more}
    process.exitCode = ${exitCode};`;
  return { argv: [process.execPath, '-e', program, told], cwd: tmpdir(), deadlineMs: 15_000 };
}

const facts = { OPERATION: 'backup', STORE: 'vectors' };
const run = () => ({ emit: (event: Event) => events.push(event), signal: stop.signal });
const good = () => ({ OUTCOME: 'success', EXIT_CODE: 0 });
const hooksTold = () =>
  readFileSync(told, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, string>);

describe('hooks', () => {
  it('run before and after, and know what came of it', async () => {
    const hooks = { before: hook(), after: hook(), onError: hook() };
    expect(await withHooks(run(), { hooks, facts }, async () => 7, good)).toBe(7);
    expect(hooksTold()).toEqual([
      expect.objectContaining({ PKBACKUP_HOOK: 'before', PKBACKUP_STORE: 'vectors' }),
      expect.objectContaining({ PKBACKUP_HOOK: 'after', PKBACKUP_OUTCOME: 'success' }),
    ]);
    expect(events).toEqual([]);
  });

  it('are told of an error, first the one that is for errors, then after; the error stays what it was', async () => {
    const hooks = { after: hook(), onError: hook() };
    const error = new PkbackupError('docker_unreachable', 'nobody\0 there');
    const work = () => Promise.reject(error);
    await expect(withHooks(run(), { hooks, facts }, work, good)).rejects.toBe(error);
    expect(hooksTold().map(({ PKBACKUP_HOOK: name }) => name)).toEqual(['on_error', 'after']);
    expect(hooksTold()[0]).toMatchObject({
      PKBACKUP_OUTCOME: 'failure',
      PKBACKUP_ERROR: 'nobody there',
      PKBACKUP_EXIT_CODE: '2',
    });
  });

  it('are told of a failure that is a result, too', async () => {
    const hooks = { onError: hook() };
    const failed = () => ({ OUTCOME: 'failure', EXIT_CODE: 4, FAILED_STORES: 'graph' });
    expect(await withHooks(run(), { hooks, facts }, async () => 'result', failed)).toBe('result');
    expect(hooksTold()).toEqual([expect.objectContaining({ PKBACKUP_FAILED_STORES: 'graph' })]);
  });

  it('that fail before stop the work; on_error and after run all the same', async () => {
    const hooks = { before: hook(3, 'console.error("no disk");'), after: hook(), onError: hook() };
    let isDone = false;
    const work = async () => {
      isDone = true;
    };
    await expect(withHooks(run(), { hooks, facts, store: 'vectors' }, work, good)).rejects.toMatchObject({
      code: 'backup_failed',
      message: `vectors: the before hook "${process.execPath}" failed: exit code 3: no disk`,
    });
    expect(isDone).toBe(false);
    expect(hooksTold().map(({ PKBACKUP_HOOK: name }) => name)).toEqual(['before', 'on_error', 'after']);
    expect(events).toEqual([{ type: 'step', store: 'vectors', message: 'before hook: no disk' }]);
  });

  it('that end with 75 before skip the work softly: no error, and after runs', async () => {
    const hooks = { before: hook(75), after: hook(), onError: hook() };
    const work = () => Promise.reject(new Error('never'));
    expect(await withHooks(run(), { hooks, facts }, work, good)).toBeUndefined();
    expect(hooksTold().map(({ PKBACKUP_HOOK: name, PKBACKUP_OUTCOME: outcome }) => [name, outcome])).toEqual([
      ['before', undefined],
      ['after', 'skipped'],
    ]);
  });

  it('that fail or hang afterwards are a warning', async () => {
    const hanging = { ...hook(0, 'setInterval(() => {}, 1000);'), deadlineMs: 1500 };
    const hooks = { after: hanging };
    expect(await withHooks(run(), { hooks, facts, store: 'vectors' }, async () => 7, good)).toBe(7);
    expect(events).toEqual([
      {
        type: 'warning',
        store: 'vectors',
        message: `the after hook "${process.execPath}" failed: was ended after 1.5 s`,
      },
    ]);
    events = [];
    const missing = { argv: ['./no-such-hook'], cwd: tmpdir(), deadlineMs: 1000 };
    await withHooks(run(), { hooks: { after: missing }, facts }, async () => 7, good);
    expect(events).toEqual([{ type: 'warning', message: expect.stringContaining('cannot be started') }]);
  });

  it('run after an interruption, and a hanging one before is ended by it', async () => {
    const hooks = {
      before: hook(0, 'console.log("up"); setInterval(() => {}, 1000);'),
      after: hook(),
      onError: hook(),
    };
    const emit = () => stop.abort(new PkbackupError('interrupted', 'interrupted'));
    await expect(
      withHooks({ emit, signal: stop.signal }, { hooks, facts }, async () => 7, good),
    ).rejects.toThrow('interrupted');
    expect(hooksTold().map(({ PKBACKUP_HOOK: name }) => name)).toEqual(['before', 'on_error', 'after']);
  });

  it('are given no secret: neither in what they are told nor in what they inherit', async () => {
    hideFromTexts('s3cret-of-the-server');
    process.env.PKBACKUP_TEST_SECRET = 's3cret-of-the-server';
    process.env.PKBACKUP_TEST_OTHER = 'not one';
    const work = () => Promise.reject(new Error('login with s3cret-of-the-server refused'));
    await expect(withHooks(run(), { hooks: { onError: hook() }, facts }, work, good)).rejects.toThrow();
    expect(hooksTold()[0]).toMatchObject({
      PKBACKUP_ERROR: 'login with [redacted] refused',
      PKBACKUP_TEST_OTHER: 'not one',
    });
    expect(readFileSync(told, 'utf8')).not.toContain('s3cret');
    delete process.env.PKBACKUP_TEST_SECRET;
    delete process.env.PKBACKUP_TEST_OTHER;
  });
});
