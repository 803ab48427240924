export type { PathStat } from './archive-endpoint.ts';
export type { Container, ContainerState, Mount, PublishedPort } from './container.ts';
export { asideLabel, composeProject, composeService, isHelper, isUp, ownLabels } from './container.ts';
export type { CallOptions } from './deadline.ts';
export { orAborted, reasonOf, sleep, throwIfAborted } from './deadline.ts';
export { type ConnectOptions, connectDocker, type Docker } from './docker.ts';
export type { Environment } from './endpoint.ts';
export { EngineStatusError, hasStatus } from './engine-errors.ts';
export type { ExecOptions, Finished } from './exec.ts';
export type {
  Helper,
  HelperMount,
  HelperOptions,
  HelperOwner,
  PreparedRun,
  RunOptions,
  RunResult,
} from './helpers.ts';
export type { Image } from './images.ts';
export type { Keeper, KeepOptions } from './keepers.ts';
export type { ServerOptions, Throwaway } from './throwaway.ts';
export type { Volume } from './volumes.ts';
