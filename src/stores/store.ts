// The contract of a store: one file per kind fulfils it, and index.ts lists them. Upper layers never ask what kind a
// store is. A store knows its database, Docker and the archive's tar; it knows no repository, no flags, no terminal.
import type { ZodType } from 'zod';
import type { TarEntry } from '../archive/tar-format.ts';
import type { TarPiece } from '../archive/tar-scan.ts';
import type { Container, Docker } from '../docker/index.ts';
import type { Emit } from '../events.ts';
import type { Counts, Kind, Quiesce } from '../words.ts';

/**
 * `Target` is the part of the configuration that is this kind's own: which container, volume, file or directory.
 * Every function MUST honour `context.signal`, and MUST leave nothing behind when it throws.
 */
export interface Store<Target = unknown> {
  readonly kind: Kind;
  /** The keys of `stores.<name>` in pkbackup.yaml that belong to this kind; unknown keys are refused. */
  readonly schema: ZodType<Target>;
  readonly quiesce: {
    readonly default: Quiesce;
    readonly allowed: readonly Quiesce[];
    /** Instead of `default`, where several stores are pinned at one moment and the clients wait until the last one is held. */
    readonly whenConsistent?: Quiesce;
    /** How long the server may take to stop before Docker kills it, in seconds. */
    readonly graceSeconds?: number;
    /** How long it may take after a restore until it is healthy, in seconds; 120 where it is missing. */
    readonly healthSeconds?: number;
    /** How long it takes, as a rule; for the estimate of a restore's downtime. */
    readonly usualStopMs?: number;
  };

  /** Instead of `quiesce.allowed`, where it is not the same for every target. */
  allowedQuiesce?(target: Target): readonly Quiesce[];

  /** It is restored through its server, which MUST run for that. */
  readonly restoresByServer?: boolean;
  /**
   * The server of a target that is on this host, outside Docker: held by `stop` and `start` of the configuration, where
   * containers would be held. It asks nobody yet, and is made again in other processes. Undefined for any other target.
   */
  hostServer?(target: Target, context: HostContext): HostServer | undefined;
  /** Its `snapshot`, where it is hot, gets all ready before it calls `context.beforePin`, so that pinning takes no time. */
  readonly pinsWhenTold?: true;

  /** The target for a container that runs this kind of server; undefined where it is something else. */
  recognise?(container: Container): Target | undefined;

  /** The target for a file of this machine that is such a database, told by its name and its first bytes. */
  recogniseFile?(path: string): Promise<Target | undefined>;

  /**
   * Looks at the live store: version, where its data really lies, counts. Changes nothing.
   * MUST throw `not_found` or `ambiguous` where the target is not there, or not one.
   */
  look(target: Target, context: StoreContext): Promise<Look>;

  /**
   * What `snapshot` needs and takes time to get, made before anybody is held; the snapshot finds it in `context.ready`. It
   * is disposed of when the snapshot is over.
   */
  ready?(target: Target, look: Look, context: StoreContext): Promise<AsyncDisposable | undefined>;

  /**
   * Called right before the containers are held under `pause` or `stop`: for servers that lose data when they are stopped, or
   * that have something to say of the copy. Where several stores are pinned at one moment, the clients are held by then.
   */
  beforeHold?(target: Target, look: Look, context: StoreContext): Promise<void>;

  /**
   * Fixes the point in time (*pinned*: writers may go on where the store is hot) and gives the bytes.
   * Under `pause` or `stop` the containers are held already when it is called, and let go when `tar` has ended (*read*).
   */
  snapshot(target: Target, look: Look, context: StoreContext): Promise<Snapshot>;

  /**
   * The same store somewhere else: `--to TARGET`. Throws `usage` where the text means nothing to this kind. What it gives MUST
   * pass `schema` when it comes out of a journal; symbols do not get into one.
   */
  retarget(target: Target | undefined, to: string): Target;

  /**
   * What of this kind belongs to a compose project, and is meant by `--to project:NAME`: its volume, which is made where it is
   * missing, or the container of its service, which runs. Given to `retarget` as `volume:NAME` or `container:NAME`. Missing
   * where the data is not in Docker.
   */
  readonly inProject?: 'volume' | 'container';

  /**
   * Looks at the place to restore to and says what will happen; nothing is changed until `stage`.
   * With `beside` a place that holds anything MUST be refused.
   */
  planRestore(
    target: Target,
    backup: BackupFacts,
    options: RestoreOptions,
    context: StoreContext,
  ): Promise<Restoration>;

  /**
   * The same restore in another process, after a crash: from the last `Restoration.state` that was written down. Looks only
   * at what that restore has made; refuses nothing that `planRestore` would refuse.
   */
  resumeRestore?(
    target: Target,
    state: RestoreState,
    backup: BackupFacts,
    context: StoreContext,
  ): Promise<ResumedRestore>;

  /**
   * A throwaway place of this kind with nothing in it, for one drill of `backup`: what is restored there is served there,
   * asked, and gone when the place is disposed of. Where it is in Docker, all of it MUST be made with
   * `Docker.openThrowaway`. `target` is what is configured for the store, if anything. Throws `not_found` where the image
   * is not here, `usage` for an image where the kind needs none.
   */
  openDrill?(
    target: Target | undefined,
    backup: BackupFacts,
    options: DrillOptions,
    context: StoreContext,
  ): Promise<DrillPlace<Target>>;

  /**
   * Asks the live store what it has of a backup; a server, wherever that looks for its data: after an upgrade that is the
   * question. Missing where `look` counts. Fewer than there were are no finding here: who asks compares the counts.
   */
  askLive?(
    target: Target,
    content: Content,
    context: StoreContext,
  ): Promise<Pick<ContentReport, 'findings' | 'counts'>>;

  /**
   * The content level of verify: the database inside is opened in `context.scratchDir` and checked by its own means. A kind
   * has this or `watch`.
   */
  check?(content: Content, backup: BackupFacts, context: StoreContext): Promise<ContentReport>;

  /** The content level of verify where a look at what flows by is all that it takes, whoever reads it. */
  watch?(backup: BackupFacts): ContentWatch;
}

/** What a server on this host is known by, also where nothing else of a run is left. */
export type HostContext = Pick<StoreContext, 'environment'>;

export interface StoreContext {
  /** The name of the store, for events. */
  readonly store: string;
  readonly emit: Emit;
  readonly signal: AbortSignal;
  /** Connects at the first call; throws `docker_unreachable`. */
  readonly docker: () => Promise<Docker>;
  /** A private directory (0700) on the repository's file system; removed afterwards, whatever happens. */
  readonly scratchDir: string;
  /** The repository, where it is a directory of this host: a store that it lies in MUST leave it out. */
  readonly repositoryDir?: string;
  /**
   * Several stores are to be pinned at one moment: a kind with `pinsWhenTold` MUST await it when everything is ready, and
   * fix its point in time right after it; more calls return at once. Throws where that moment does not come.
   */
  readonly beforePin?: () => Promise<void>;
  /**
   * Somebody holds the writers of several stores until all are pinned: called as soon as the point in time is fixed, by a
   * store whose `snapshot` has more to do after it. When `snapshot` returns it is fixed in any case.
   */
  readonly onPinned?: () => void;
  /** For `ready`, `beforeHold` and `snapshot`: how its containers are held. */
  readonly quiesce?: Quiesce;
  /** For `beforeHold` and `snapshot`: what the store's own `ready` gave. */
  readonly ready?: AsyncDisposable | undefined;
  /** What is held, or our own, may be read past the Docker Engine where it lies on this very host, and counted in any case. */
  readonly readsDirectly?: boolean;
  /** Resolves when nobody is held any more for the others: what can wait until then takes nothing from those who are held. */
  readonly afterPin?: () => Promise<void>;
  /** Environment and .env file, for `*_env` settings. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** A server on this host, outside Docker: nobody but programs of the user's can stop and start it. */
export interface HostServer {
  /** For people: `Neo4j in "/opt/neo4j"`. */
  readonly name: string;
  /** Whether it has the data open, or is about to. MUST be right on the side of yes: nobody touches the data before it is no. */
  isRunning(signal?: AbortSignal): Promise<boolean>;
  /** Where it listens is not known in this process: that it runs is no more than a guess on the side of yes. */
  readonly isGuessed?: boolean;
  /** Returns when it answers; throws `unhealthy` where it does not in time. */
  untilServing(signal: AbortSignal): Promise<void>;
  /** Its backups are hot, whatever `quiesce` says: it is held for a restore alone. */
  readonly isSavedHot?: true;
  /** Called right before it is told to stop: for servers that lose data when they are stopped. */
  beforeStop?(): Promise<void>;
  /** Tells it to stop where the configuration has no `stop`; returns when it was told. */
  stop?(): Promise<void>;
}

/** Where the data comes from; goes into the metadata in snake_case. */
export interface Source {
  container?: string;
  image?: string;
  image_digest?: string;
  volume?: string;
  compose_project?: string;
  compose_service?: string;
  path?: string;
  /** Of a server that is reached over the network; without user, password and query. */
  url?: string;
  /** False where the parts of the copy are of different moments, as the kind's page in docs says. */
  one_moment?: boolean;
  /** How the volume was made, so that it can be made again (volume-setup.ts). */
  volume_driver?: string;
  volume_labels?: Record<string, string>;
  volume_options?: Record<string, string>;
  /** Where in the volume the data lies; missing where it is all of it. */
  volume_directory?: string;
  /** The server keeps a log, and ignores data that comes without one. */
  append_only?: boolean;
}

export interface Look {
  readonly source: Source;
  readonly version?: string;
  readonly counts: Counts;
  readonly databases?: string[];
  /** About how many bytes a snapshot will give; for progress and the check of free space. */
  readonly estimatedBytes?: number;
  /** Files that somebody may execute, where they were counted on this host: `snapshot` counts them otherwise. */
  readonly programs?: number;
  /** What the data takes in the store itself, where that is something else; a restore needs about as much. */
  readonly storedBytes?: number;
  /** Volumes whose users are held still under `pause` or `stop`. */
  readonly volumes: readonly string[];
  /** There is nothing to save: refused unless `--allow-empty`. */
  readonly isEmpty: boolean;
  /** What the running server was asked, where it is held for the copy: `snapshot` keeps what is true of the copy. */
  readonly samples?: readonly Sample[];
}

/**
 * A question with its answer at the moment of the backup, which a drill asks again: plain JSON that the kind alone reads.
 * It goes into the metadata, so it is small, and holds names, numbers and hashes, never content or a secret.
 */
export type Sample = Readonly<Record<string, unknown>>;

export interface Snapshot {
  /** The moment that the bytes show. */
  readonly pinnedAt: Date;
  /**
   * The content as an uncompressed tar, to be read once; each chunk is good until the next is asked for. MUST throw unless
   * every byte arrived; MUST end with the end-of-archive blocks. When it has ended nothing is read from the store any more.
   */
  readonly tar: AsyncIterable<Buffer>;
  /** Entries that are not to be saved; looked at for each entry of `tar`. */
  readonly skip?: (entry: TarEntry) => boolean;
  /** Shown every piece of `tar`, in order, also of entries that are not saved. It MUST NOT keep the bytes. */
  readonly watch?: (piece: TarPiece) => void;
  /** Known better than at `look` (for example counted on the copy); asked for when `tar` has ended. */
  readonly counts?: Counts;
  /** What a drill asks again; asked for when `tar` has ended. Getting them MUST NOT hold anybody longer. */
  readonly samples?: readonly Sample[];
  /** What people should know of the copy ("3 files changed while they were read"); asked for when `tar` has ended. */
  readonly notes?: () => readonly string[];
  /** Frees what the snapshot took; called once, whether `tar` was read or not. */
  readonly dispose?: () => Promise<void>;
}

/** What the metadata says of a backup, as far as a store needs it. */
export interface BackupFacts {
  readonly kind: Kind;
  readonly store: string;
  readonly source: Source;
  readonly counts: Counts;
  /** Names of the databases in it, where the store has several. */
  readonly databases?: readonly string[];
  /** It holds only these of the names at the top: what else is in the place MUST stay. */
  readonly only?: readonly string[];
  readonly storeVersion?: string;
  readonly rawSizeBytes?: number;
  readonly entries?: number;
  /** What the data took in the store itself, where that is something else than the size of the tar. */
  readonly storedBytes?: number;
  /** How its containers were held: the files of a paused server are those of a crash. */
  readonly quiesce?: Quiesce;
  /** Of its snapshot; input, as everything of the metadata. */
  readonly samples?: readonly Sample[];
}

/** The content of a backup as an uncompressed tar; each call reads from the beginning, and ends only when all of it was whole. */
export interface Content {
  tar(): AsyncIterable<Buffer>;
}

/**
 * A restore in its steps: stage, [hold], swap, [release, health], check, then discard; rollback after a failure.
 * The operation calls them in this order and writes the journal between them. Each MUST be safe to call again.
 */
export interface Restoration {
  readonly plan: RestorePlan;
  /** For `resumeRestore`; asked for before each step, and MUST by then name what that step will make. */
  readonly state?: RestoreState;
  /** Writes the content beside the present data. Nothing live is touched. */
  stage(content: Content): Promise<void>;
  /** Sets the present data aside and puts the staged in its place; by renaming, so that it takes no time. */
  swap(): Promise<void>;
  /** Asks the restored store itself; throws where it is not what the metadata says. Called when containers run again. */
  check(): Promise<Counts>;
  /** Puts the previous data back and removes what was staged; also right when nothing was swapped. */
  rollback(): Promise<void>;
  /** The previous data as a snapshot, for the safety backup; undefined where there was none. After `swap`. */
  previous(): Promise<Snapshot | undefined>;
  /** Removes the previous data and everything that the restore made beside. After the safety backup. */
  discard(): Promise<void>;
}

/** Plain JSON; it names what the restore has made (ids, directories), and never a secret. */
export type RestoreState = Readonly<Record<string, unknown>>;

/** What can still be done for a restore whose process is dead: undo it, or end it. */
export type ResumedRestore = Pick<Restoration, 'plan' | 'state' | 'rollback' | 'previous' | 'discard'>;

export interface RestoreOptions {
  /** For `--to`, and for a place that only the backup names. */
  readonly beside: boolean;
  /** The compose project that it is restored into; its own where it is missing. */
  readonly project?: string;
  /** A missing volume may be made with the driver and the options of the backup, whatever place they name. */
  readonly takesVolumeOptions?: boolean;
  /** Containers are stopped during the swap: who uses the present data now says nothing about who will then. */
  readonly holdsClients?: boolean;
}

export interface RestorePlan {
  /** For people: `file "/srv/events.db"`, `volume "stack_chroma"`. */
  readonly target: string;
  /** Whether something is there that will be replaced. */
  readonly replaces: boolean;
  readonly presentBytes?: number;
  readonly presentCounts?: Counts;
  /** Who uses the present data at the moment, for people, where that can be known: `3 connections to "app" from "api"`. */
  readonly usedBy?: readonly string[];
  /** What is missing and will be made first, for people: `volume "other_data"`. */
  readonly makes?: string;
  /** Bytes needed beside the present data, and free there, where it can be known. */
  readonly neededBytes?: number;
  readonly freeBytes?: number;
  /** Volumes whose users are stopped during the swap. */
  readonly volumes: readonly string[];
  /** Ids of containers that serve the data and go on during the swap: others may depend on them. */
  readonly containers?: readonly string[];
  /** By which containers that work for this restore are found; who was stopped is not started before they have ended. */
  readonly restoreId?: string;
}

export interface DrillOptions {
  /** For `Docker.openThrowaway`. */
  readonly id: string;
  /** Instead of the one that the backup was made with. */
  readonly image?: string;
}

/** Used in this order: a restore beside to `target` in all its steps, then `serve`, then `check`. */
export interface DrillPlace<Target = unknown> extends AsyncDisposable {
  readonly target: Target;
  /** What runs there; undefined where nothing does. */
  readonly image?: { readonly name: string; readonly isOther: boolean };
  /** Starts what serves the restored data, where that does not run already; throws `unhealthy` with what it said. */
  serve(): Promise<void>;
  /** Asks what serves there everything that the metadata tells of: counts, and all samples. */
  check(): Promise<DrillReport>;
  /** For the user's own check, once it serves: where it is, by names without prefix (`HOST`, `PATH`). No secrets. */
  environment(): Readonly<Record<string, string>>;
}

export interface DrillReport extends ContentReport {
  /** Samples that were asked again. */
  readonly asked: number;
}

/** Looks at the pieces of a tar that somebody else reads. */
export interface ContentWatch {
  add(piece: TarPiece): void;
  /** After the last piece. */
  report(): ContentReport;
}

/** Findings are data; an empty list is a pass. */
export interface ContentReport {
  readonly findings: readonly string[];
  readonly counts: Counts;
  /** Names of the databases, where it takes reading all of it to know them. */
  readonly databases?: readonly string[];
  /** Said where a part could not be checked by what is at hand (never silently). */
  readonly notChecked?: readonly string[];
}
