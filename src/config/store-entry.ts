// One entry of `stores:`: the keys that every store may have, and those of its kind, each by its own schema.
import type { z } from 'zod';
import { messageOf } from '../errors.ts';
import { assertStoreName } from '../repository/index.ts';
import { allowedQuiesce, storeOf } from '../stores/index.ts';
import type { HostServer } from '../stores/store.ts';
import { commandLine, hooksOf } from './commands.ts';
import { expectationsOf } from './expectations.ts';
import { checked, type Issue } from './issues.ts';
import { absolutePaths } from './paths.ts';
import { commonStoreSchema } from './schema.ts';
import type { ConfiguredStore, ServerPrograms } from './types.ts';

const commonKeys = Object.keys(commonStoreSchema.shape);

/** Adds what is wrong to `issues`; undefined where anything is. */
export function readStoreEntry(
  name: string,
  entry: unknown,
  directory: string,
  issues: Issue[],
): ConfiguredStore | undefined {
  const path = ['stores', name];
  const before = issues.length;
  issues.push(...nameIssues(name, path));
  const common = checked(commonStoreSchema, entry, path, issues);
  if (common === undefined || typeof entry !== 'object' || entry === null) return undefined;
  const { kind, quiesce, grace_seconds, health_seconds, allow_empty } = common;
  const { compression, compression_level, retention } = common;
  const { schedule, time_zone, hooks } = common;
  const { clients, hold_dependents } = common;
  const expects = expectationsOf(common);
  const store = storeOf(kind);
  const own = Object.fromEntries(Object.entries(entry).filter(([key]) => !commonKeys.includes(key)));
  const target = checked(store.schema, absolutePaths(own, directory), path, issues, commonKeys);
  const allowed = target === undefined ? store.quiesce.allowed : allowedQuiesce(store, target);
  if (quiesce !== undefined && !allowed.includes(quiesce)) {
    issues.push({
      path: [...path, 'quiesce'],
      message: `expected ${allowed.join(' or ')} for kind ${kind}, got "${quiesce}"`,
    });
  }
  const server = serverPrograms(common, directory);
  const onHost = target === undefined ? undefined : store.hostServer?.(target, { environment: {} });
  issues.push(...serverIssues(common, path, onHost));
  if (issues.length > before) return undefined;
  return {
    name,
    kind,
    target,
    ...(quiesce !== undefined && { quiesce }),
    ...(grace_seconds !== undefined && { graceSeconds: grace_seconds }),
    ...(health_seconds !== undefined && { healthSeconds: health_seconds }),
    ...(allow_empty !== undefined && { allowEmpty: allow_empty }),
    ...(compression !== undefined && { compression }),
    ...(compression_level !== undefined && { compressionLevel: compression_level }),
    ...(retention !== undefined && { retention }),
    ...(schedule !== undefined && { schedule }),
    ...(time_zone !== undefined && { timeZone: time_zone }),
    ...(expects !== undefined && { expects }),
    ...(hooks !== undefined && { hooks: hooksOf(hooks, directory) }),
    ...(server !== undefined && { server }),
    ...(clients !== undefined && { clients }),
    ...(hold_dependents !== undefined && { holdDependents: hold_dependents }),
  };
}

type Common = z.infer<typeof commonStoreSchema>;

/** To stop or to start a server may take a checkpoint, or the replay of a log. */
const serverDeadlineMs = 10 * 60_000;

function serverPrograms({ stop, start }: Common, directory: string): ServerPrograms | undefined {
  if (start === undefined) return undefined;
  return {
    ...(stop !== undefined && { stop: commandLine(stop, directory, serverDeadlineMs) }),
    start: commandLine(start, directory, serverDeadlineMs),
  };
}

/** What is stopped must be started by somebody; containers are stopped and started by Docker. */
function serverIssues(
  { stop, start, kind }: Common,
  path: readonly string[],
  onHost: HostServer | undefined,
): Issue[] {
  if (stop === undefined && start === undefined) return [];
  const there = stop === undefined ? 'start' : 'stop';
  const stopsItself = onHost?.stop !== undefined;
  if (start === undefined || (stop === undefined && onHost && !stopsItself)) {
    return [{ path: [...path, there], message: `needs ${there === 'stop' ? 'start' : 'stop'} beside it` }];
  }
  if (onHost) return [];
  return [
    { path: [...path, there], message: `is for a server on this host alone, which this ${kind} is not` },
  ];
}

function nameIssues(name: string, path: readonly string[]): Issue[] {
  try {
    assertStoreName(name);
    return [];
  } catch (error) {
    return [{ path, message: messageOf(error) }];
  }
}
