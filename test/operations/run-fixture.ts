// A run built by hand: a repository in a temporary directory, real stores, and what was emitted.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import type { ConfiguredStore } from '../../src/config/types.ts';
import { connectDocker } from '../../src/docker/index.ts';
import type { Event } from '../../src/events.ts';
import type { Run } from '../../src/operations/run.ts';
import { openRepository } from '../../src/repository/index.ts';

export interface RunFixture extends Disposable {
  readonly directory: string;
  readonly run: Run;
  readonly events: Event[];
  readonly stop: AbortController;
}

export function makeRun(): RunFixture {
  const directory = mkdtempSync(join(tmpdir(), 'pkbackup-run-'));
  const events: Event[] = [];
  const stop = new AbortController();
  return {
    directory,
    events,
    stop,
    run: {
      repository: openRepository(join(directory, 'backups')),
      emit: (event) => events.push(event),
      signal: stop.signal,
      environment: process.env,
      docker: () => connectDocker(process.env),
      command: 'pkbackup test',
    },
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}

export function directoryStore(path: string, name = 'memory'): ConfiguredStore {
  return { name, kind: 'directory', target: { path } };
}

export function sqliteStore(path: string, name = 'events'): ConfiguredStore {
  return { name, kind: 'sqlite', target: { path } };
}
