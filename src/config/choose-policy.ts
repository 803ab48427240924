// Which retention policy counts: that of flags, of the variables of the replaced scripts, or of the config file. The nearest
// place gives all the rules: a flag never mixes with the file.
import { PkbackupError } from '../errors.ts';
import type { PoliciesOfStores, RetentionPolicy } from '../retention/index.ts';
import { durationMs, durationPattern, hourMs } from './duration.ts';
import { expected, isTimeZone, weekdays, withoutUndefined } from './retention.ts';
import { sizeBytes, sizePattern } from './size.ts';
import type { Environment } from './substitute.ts';
import type { Config } from './types.ts';

/** Rules and settings as commander gives them: `--keep-daily 7`, `--retention 30`, `--no-keep-sets-whole`. */
export interface RetentionFlags extends RuleFlags {
  readonly keepSafety?: string;
  readonly keepSetsWhole?: boolean;
  readonly timeZone?: string;
  readonly weekStart?: string;
}

interface RuleFlags {
  readonly keepLast?: string;
  readonly keepWithin?: string;
  readonly keepHourly?: string;
  readonly keepDaily?: string;
  readonly keepWeekly?: string;
  readonly keepMonthly?: string;
  readonly keepQuarterly?: string;
  readonly keepYearly?: string;
  readonly maxSize?: string;
  /** Days, as the replaced scripts had it: the same as `--keep-within <DAYS>d`; 0 or less keeps everything. */
  readonly retention?: string;
}

/** A policy and where it was said; no policy where everything is to be kept. */
export interface ChosenPolicy {
  readonly policy: RetentionPolicy | undefined;
  readonly from: string;
  /** Of stores that differ from it. */
  readonly ofStores: PoliciesOfStores;
}

/** What the config file says: for all stores, and for single ones. */
export interface ConfiguredPolicies {
  readonly policy: RetentionPolicy | undefined;
  readonly from: string;
  readonly ofStores: PoliciesOfStores;
  /** Where a policy says none. */
  readonly timeZone?: string | undefined;
}

export function policiesOf(config: Config | undefined): ConfiguredPolicies {
  const own = (config?.stores ?? []).flatMap(({ name, retention }): [string, RetentionPolicy][] => {
    return retention === undefined ? [] : [[name, retention]];
  });
  const { retention: policy, name: from = '', timeZone } = config ?? {};
  return { policy, from, ofStores: new Map(own), timeZone };
}

/** What the replaced scripts did when nobody said anything. */
const defaultRules: RetentionPolicy = { keepWithinMs: 30 * 24 * hourMs };

/**
 * The rules of flags or the environment are for all stores, and then those of the file do not count. What is no rule (time
 * zone, first day of the week, whole sets ...) counts from the file in any case, where nothing nearer says it.
 */
export function choosePolicy(
  flags: RetentionFlags,
  environment: Environment,
  config: ConfiguredPolicies,
): ChosenPolicy {
  const { keepSafety, keepSetsWhole, timeZone, weekStart, ...ruleFlags } = flags;
  const variables = fromEnvironment(environment);
  const near = {
    ...settingsSaid(settingsIn(environment), variableName, 'config'),
    ...settingsSaid({ keepSafety, keepSetsWhole, timeZone, weekStart }, flagName, 'usage'),
  };
  const said =
    policyOf(ruleFlags, flagName, 'usage', 'flags') ??
    policyOf(variables, variableName, 'config', 'environment');
  const { policy, from } = said ?? {
    policy: rulesOf(config.policy ?? defaultRules),
    from: config.policy ? config.from : 'default',
  };
  const far = { ...withoutUndefined({ timeZone: config.timeZone }), ...settingsOf(config.policy ?? {}) };
  if (policy === undefined) return { policy, from, ofStores: new Map() };
  // The cap of all together is no store's own.
  const { maxSizeBytes: _, ...common } = policy;
  const ofStores = [...config.ofStores].map(([store, own]): [string, RetentionPolicy] => {
    return [store, { ...far, ...settingsOf(own), ...near, ...(said ? common : rulesOf(own)) }];
  });
  return { policy: { ...far, ...near, ...policy }, from, ofStores: new Map(ofStores) };
}

function settingsOf({ timeZone, weekStart, keepSetsWhole, keepSafetyMs }: RetentionPolicy): RetentionPolicy {
  return withoutUndefined({ timeZone, weekStart, keepSetsWhole, keepSafetyMs });
}

function rulesOf(policy: RetentionPolicy): RetentionPolicy {
  const { timeZone: _, weekStart: _w, keepSetsWhole: _s, keepSafetyMs: _k, ...rules } = policy;
  return rules;
}

interface SettingTexts {
  readonly keepSafety?: string | undefined;
  readonly keepSetsWhole?: boolean | string | undefined;
  readonly timeZone?: string | undefined;
  readonly weekStart?: string | undefined;
}

/** Of what is no rule, only what begins with KEEP_ has a variable: others would be set for other programs. */
function settingsIn({ KEEP_SAFETY, KEEP_SETS_WHOLE }: Environment): SettingTexts {
  return { keepSafety: KEEP_SAFETY || undefined, keepSetsWhole: KEEP_SETS_WHOLE || undefined };
}

function settingsSaid(texts: SettingTexts, name: Name, code: 'usage' | 'config'): RetentionPolicy {
  const { keepSafety, keepSetsWhole, timeZone, weekStart } = texts;
  const wrong = (key: keyof SettingTexts, what: string) =>
    new PkbackupError(code, `${name(key)}: expected ${what}, got "${texts[key]}"`);
  if (keepSafety !== undefined && !durationPattern.test(keepSafety))
    throw wrong('keepSafety', expected.duration);
  if (keepSetsWhole !== undefined && !/^(true|false)$/.test(String(keepSetsWhole)))
    throw wrong('keepSetsWhole', 'true or false');
  if (timeZone !== undefined && !isTimeZone(timeZone)) throw wrong('timeZone', expected.timeZone);
  const names: readonly string[] = weekdays;
  const day = names.indexOf(weekStart ?? '');
  if (weekStart !== undefined && day < 0) throw wrong('weekStart', `one of ${weekdays.join(', ')}`);
  return withoutUndefined({
    keepSafetyMs: keepSafety === undefined ? undefined : durationMs(keepSafety),
    keepSetsWhole: keepSetsWhole === undefined ? undefined : String(keepSetsWhole) === 'true',
    timeZone,
    weekStart: weekStart === undefined ? undefined : day + 1,
  });
}

type FlagKey = keyof RuleFlags;
type Name = (key: keyof RetentionFlags) => string;

/** `keepDaily` is `--keep-daily`. */
const flagName: Name = (key) => `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
/** `keepDaily` is `KEEP_DAILY`. */
const variableName: Name = (key) =>
  key === 'retention' ? 'RETENTION_DAYS' : key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();

const flagKeys: readonly FlagKey[] = [
  'keepLast',
  'keepWithin',
  'keepHourly',
  'keepDaily',
  'keepWeekly',
  'keepMonthly',
  'keepQuarterly',
  'keepYearly',
  'maxSize',
  'retention',
];

/** `KEEP_LAST` and so on. */
export const ruleVariables = flagKeys.map(variableName);

function fromEnvironment(environment: Environment): RuleFlags {
  return Object.fromEntries(
    flagKeys.flatMap((key) => {
      const value = environment[variableName(key)];
      return value === undefined || value === '' ? [] : [[key, value]];
    }),
  );
}

function policyOf(
  flags: RuleFlags,
  name: Name,
  code: 'usage' | 'config',
  from: string,
): Pick<ChosenPolicy, 'policy' | 'from'> | undefined {
  const said = flagKeys.filter((key) => flags[key] !== undefined);
  if (said.length === 0) return undefined;
  const rules = said.map((key) =>
    ruleOf(key, flags[key] ?? '', (what) => {
      return new PkbackupError(code, `${name(key)}: expected ${what}, got "${flags[key]}"`);
    }),
  );
  const policy: RetentionPolicy = Object.assign({}, ...rules);
  return { policy: Object.keys(policy).length === 0 ? undefined : policy, from };
}

function ruleOf(key: FlagKey, value: string, wrong: (what: string) => PkbackupError): RetentionPolicy {
  if (key === 'keepWithin') {
    if (!durationPattern.test(value)) throw wrong(expected.duration);
    return { keepWithinMs: durationMs(value) };
  }
  if (key === 'maxSize') {
    if (!sizePattern.test(value)) throw wrong(expected.size);
    return { maxSizeBytes: sizeBytes(value) };
  }
  const number = Number(value);
  if (key === 'retention') {
    if (!Number.isInteger(number)) throw wrong('a number of days');
    return number > 0 ? { keepWithinMs: number * 24 * hourMs } : {};
  }
  if (!Number.isInteger(number) || number < 1) throw wrong(expected.count);
  return { [key]: number };
}
