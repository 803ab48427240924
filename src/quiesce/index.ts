export { dependentsOf } from './dependencies.ts';
export type { GuardOptions } from './guard.ts';
export {
  defaultGraceSeconds,
  type Hold,
  type HoldOptions,
  type HoldReport,
  holdStill,
  type PreparedHold,
  prepareHold,
} from './hold-still.ts';
export { containersToHold, type Held, type HoldMode, planHold } from './plan.ts';
export { type Recovered, type RecoverOptions, recoverHelpers, recoverHolds } from './recover.ts';
export { startAgain, waitUntilServing } from './serve-again.ts';
