// One entry of `stores:`: the keys that every store may have, and those of its kind, each by its own schema.
import { messageOf } from '../errors.ts';
import { assertStoreName } from '../repository/index.ts';
import { allowedQuiesce, storeOf } from '../stores/index.ts';
import { hooksOf } from './commands.ts';
import { expectationsOf } from './expectations.ts';
import { checked, type Issue } from './issues.ts';
import { absolutePaths } from './paths.ts';
import { commonStoreSchema } from './schema.ts';
import type { ConfiguredStore } from './types.ts';

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
    ...(clients !== undefined && { clients }),
    ...(hold_dependents !== undefined && { holdDependents: hold_dependents }),
  };
}

function nameIssues(name: string, path: readonly string[]): Issue[] {
  try {
    assertStoreName(name);
    return [];
  } catch (error) {
    return [{ path, message: messageOf(error) }];
  }
}
