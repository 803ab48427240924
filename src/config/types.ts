// What the configuration comes to: the stores with their targets, and the settings of a run.
import type { Target } from '../notify/index.ts';
import type { RetentionPolicy } from '../retention/index.ts';
import type { Compression, Kind, Quiesce } from '../words.ts';

/** A program of the user's, never run through a shell. */
export interface CommandLine {
  /** The program, with its path or to be found on the PATH, and its arguments. */
  readonly argv: readonly string[];
  /** Where it runs: the directory of the config file. */
  readonly cwd: string;
  readonly deadlineMs: number;
}

/** What runs around a run, or around one store of it. */
export interface Hooks {
  readonly before?: CommandLine;
  readonly after?: CommandLine;
  readonly onError?: CommandLine;
}

/** For a server on this host, outside Docker. */
export interface ServerPrograms {
  /** Missing for a kind that stops its server itself. */
  readonly stop?: CommandLine;
  /** MUST be fit to run where it runs already. */
  readonly start: CommandLine;
}

/** What `status` compares the backups of a store with; an age that is infinite is not expected to be any. */
export interface Expectations {
  /** Of the newest backup that is good. */
  readonly maxAgeMs?: number;
  /** Since the newest was verified, and since it was drilled. */
  readonly maxVerifiedAgeMs?: number;
  readonly maxDrilledAgeMs?: number;
  /** By how much a backup may be smaller than the one before. */
  readonly maxShrinkPercent?: number;
}

/** A store that is in the config file or was discovered; `target` has passed the schema of its kind. */
export interface ConfiguredStore {
  readonly name: string;
  readonly kind: Kind;
  readonly target: unknown;
  readonly quiesce?: Quiesce;
  /** Instead of the kind's own: how long the server may take to stop. */
  readonly graceSeconds?: number;
  /** Instead of the kind's own: how long it may take after a restore until it is healthy. */
  readonly healthSeconds?: number;
  readonly allowEmpty?: boolean;
  readonly compression?: Compression;
  readonly compressionLevel?: number;
  /** Instead of the policy for all stores. */
  readonly retention?: RetentionPolicy;
  /** Instead of those at the top; `never` is none at all. */
  readonly schedule?: string;
  readonly timeZone?: string;
  /** Over those at the top, one by one. */
  readonly expects?: Expectations;
  /** Only of the config file: nothing that is discovered names a program. */
  readonly hooks?: Hooks;
  /** Stop and start its server, where that is on this host; of the config file alone, too. */
  readonly server?: ServerPrograms;
  /** Of a store that was discovered: the compose project that it belongs to. */
  readonly project?: string;
  /** Who works with it: containers or compose services, by name. Held while a restore swaps the data. */
  readonly clients?: readonly string[];
  /** So are those that depend on the store's containers. */
  readonly holdDependents?: boolean;
  /** Where it comes from, for people: `pkbackup.yaml:7`, `container "stack-chromadb-1"`. */
  readonly origin?: string;
}

/** The config file, read and checked; paths are absolute. */
export interface Config {
  /** As people name it in messages. */
  readonly name: string;
  /** Absolute. */
  readonly path: string;
  readonly repository?: string;
  readonly retention?: RetentionPolicy;
  readonly compression?: Compression;
  readonly compressionLevel?: number;
  /** Members of an archive compressed at once. */
  readonly compressionThreads?: number;
  /** Whether what is held may be read past the Docker Engine, on its own host. */
  readonly directRead?: boolean;
  /** How many stores are backed up at once. */
  readonly parallel?: number;
  /** Who writes to the stores, how they are held until all stores are pinned, and for how long at most. */
  readonly clients?: readonly string[];
  readonly clientsQuiesce?: Exclude<Quiesce, 'none'>;
  readonly clientsLongestMs?: number;
  /** Whether a backup pins all stores at one moment. */
  readonly consistent?: boolean;
  /** Programs that hold and release writers outside Docker, beside the clients; both or none. */
  readonly clientsHold?: CommandLine;
  readonly clientsRelease?: CommandLine;
  /** Left out on purpose: not told as volumes that no store saves. */
  readonly ignoreVolumes?: readonly string[];
  /** What a backup does when it has ended. */
  readonly afterBackup?: 'nothing' | 'prune';
  /** A cron expression, and the clock that it means; that of the system where there is none. */
  readonly schedule?: string;
  readonly timeZone?: string;
  readonly expects?: Expectations;
  /** In percent of the repository's disk. */
  readonly maxDiskUse?: number;
  /** A store that has shrunk by more than it may is not backed up. */
  readonly failOnShrink?: boolean;
  /** Around each run. */
  readonly hooks?: Hooks;
  /** Absolute; gets what status knows, after each run. */
  readonly metricsFile?: string;
  /** Who is told what came of a run. */
  readonly notify?: readonly Target[];
  readonly stores: readonly ConfiguredStore[];
}
