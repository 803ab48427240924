// The door of the configuration layer; settings.ts tells what it is.
export { type ChosenPolicy, choosePolicy, policiesOf, type RetentionFlags } from './choose-policy.ts';
export { chooseStores, noSuchStore } from './choose-stores.ts';
export { findUncovered, type UncoveredVolume } from './coverage.ts';
export { type DiscoverOptions, type Discovery, discover, discoverStores } from './discover.ts';
export { durationMs, durationPattern } from './duration.ts';
export { type Finding, type FoundStore, isAnonymous } from './found-stores.ts';
export { mostParallel } from './schema.ts';
export { loadSettings, type Place, type PlaceFlags, type Settings } from './settings.ts';
export type { Config, ConfiguredStore, Expectations } from './types.ts';
