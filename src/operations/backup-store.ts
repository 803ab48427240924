// One store is backed up: look, hold still, pin, read, let go, publish.
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CompressorOptions } from '../archive/compressor.ts';
import { type ArchiveSummary, writeArchive } from '../archive/write-archive.ts';
import type { ConfiguredStore } from '../config/types.ts';
import { asPkbackupError, PkbackupError, systemCodeOf } from '../errors.ts';
import { type HoldReport, type PreparedHold, prepareHold } from '../quiesce/index.ts';
import { type Backup, type Metadata, type Publication, schemaVersion } from '../repository/index.ts';
import { allowedQuiesce, storeOf } from '../stores/index.ts';
import type { HostServer, Look, Snapshot, Store } from '../stores/store.ts';
import { version } from '../version.ts';
import type { Compression, Quiesce } from '../words.ts';
import { type Expected, expectedOf } from './history.ts';
import { type HookFacts, withHooks } from './hooks.ts';
import { prepareServerHold, ServerHold, serverOf } from './host-server.ts';
import { judgeShrink, preflight, type ShrinkRules } from './preflight.ts';
import type { Pinning } from './rendezvous.ts';
import { refuseUnsettled } from './restore-journal.ts';
import { contextFor, graceOf, guardOf, type HoldContext, lockStore, type Run } from './run.ts';
import type { ReadyStore } from './writers.ts';

export interface StoreBackupOptions extends ShrinkRules {
  readonly setId: string;
  readonly compression?: Compression;
  readonly level?: number;
  readonly allowEmpty?: boolean;
  /** Where several stores are pinned at one moment. */
  readonly pinning?: Pinning<ReadyStore>;
}

/** What a backup would do. */
export interface Prediction {
  readonly look: Look;
  readonly quiesce: Quiesce;
  /** Undefined where no earlier backup says it. */
  readonly expected: Expected | undefined;
}

/** Looks and checks what can be checked; nothing is written and nothing held. */
export async function predict(
  run: Run,
  store: ConfiguredStore,
  options: { allowEmpty?: boolean; isConsistent?: boolean },
): Promise<Prediction> {
  const kind = storeOf(store.kind);
  const wanted = chooseQuiesce(kind, store, options);
  const look = await kind.look(store.target, contextFor(run, store.name, ''));
  const quiesce = quiesceOf(wanted, look, serverOf(store, run));
  const earlier = await preflight(run, store, look, { ...options, quiesce });
  return { look, quiesce, expected: expectedOf(earlier, look, quiesce) };
}

/**
 * Backs up one store under its lock, between its hooks; leaves nothing behind when it throws. Undefined where a hook asked
 * for it to be skipped.
 */
export async function backupStore(
  run: Run,
  store: ConfiguredStore,
  options: StoreBackupOptions,
): Promise<Backup | undefined> {
  const isConsistent = options.pinning !== undefined;
  const quiesce = chooseQuiesce(storeOf(store.kind), store, { isConsistent });
  await using _lock = await lockStore(run, store.name);
  await refuseUnsettled(run, store.name, 'backup_failed');
  const facts = {
    OPERATION: 'backup',
    STORE: store.name,
    KIND: store.kind,
    REPOSITORY: run.repository.directory,
    SET_ID: options.setId,
  };
  const save = () => saveLocked(run, store, quiesce, options);
  return await withHooks(run, { hooks: store.hooks, store: store.name, facts }, save, factsOf);
}

function factsOf({ path, metadata }: Backup): HookFacts {
  return {
    OUTCOME: 'success',
    EXIT_CODE: 0,
    ARCHIVE: path,
    SIZE_BYTES: metadata.size_bytes,
    DOWNTIME_MS: metadata.downtime_ms,
    DURATION_MS: metadata.duration_ms,
  };
}

async function saveLocked(
  run: Run,
  store: ConfiguredStore,
  wanted: Quiesce,
  options: StoreBackupOptions,
): Promise<Backup> {
  const startedMs = Date.now();
  const kind = storeOf(store.kind);
  const { compression = 'gzip', level } = compressionOf(store, options);
  await using scratch = await run.repository.makeScratch();
  const lookContext = contextFor(run, store.name, scratch.path);
  const look = await kind.look(store.target, lookContext);
  const quiesce = quiesceOf(wanted, look, serverOf(store, run));
  const context = { ...lookContext, quiesce, guard: guardOf(run) };
  const earlier = await preflight(run, store, look, { ...options, quiesce });
  await using publication = await run.repository.begin(store.name, new Date(), compression);
  const read = await readStore(run, kind, store, look, context, publication, {
    compression,
    ...(level === undefined ? {} : { level }),
    ...(run.compressionThreads === undefined ? {} : { threads: run.compressionThreads }),
    ...(options.pinning ? { pinning: options.pinning } : {}),
  });
  const copy = describe(store, look, read, quiesce);
  judgeShrink(run, store, { copy, earlier }, options);
  return await publish(run, store, publication, {
    ...copy,
    set_id: options.setId,
    compression,
    duration_ms: Date.now() - startedMs,
    backup_file: publication.archiveName,
  });
}

/** A level goes with the compression that it was said for. */
function compressionOf(
  store: ConfiguredStore,
  options: Pick<StoreBackupOptions, 'compression' | 'level'>,
): Pick<StoreBackupOptions, 'compression' | 'level'> {
  const { compression, compressionLevel: level } = store;
  if (compression === undefined) return options;
  return level === undefined ? { compression } : { compression, level };
}

interface Read {
  readonly summary: ArchiveSummary;
  readonly snapshot: Snapshot;
  readonly notes: readonly string[];
  readonly hold: HoldReport | undefined;
  readonly pinnedAt: Date;
}

interface ReadOptions extends CompressorOptions {
  readonly pinning?: Pinning<ReadyStore>;
}

async function readStore(
  run: Run,
  kind: Store,
  store: ConfiguredStore,
  look: Look,
  context: HoldContext & { readonly quiesce: Quiesce },
  publication: Publication,
  { pinning, ...compression }: ReadOptions,
): Promise<Read> {
  await using prepared = await prepareHoldFor(run, kind, store, look, context);
  await using ready = prepared && (await kind.ready?.(store.target, look, context));
  let isReady = false;
  const beforePin = async () => {
    isReady = true;
    await pinning?.ready({ look, isHeld: prepared !== undefined });
  };
  const pinsWhenTold = kind.pinsWhenTold && !prepared;
  if (!pinsWhenTold) await beforePin();
  if (prepared) await kind.beforeHold?.(store.target, look, { ...context, ready });
  const hold = await prepared?.hold();
  const heldAt = hold && new Date();
  if (hold) await pinnedByHold(pinning);
  const pins = pinning && {
    ...(pinsWhenTold ? { beforePin } : {}),
    onPinned: pinning.pinned,
    afterPin: pinning.released,
  };
  const how = { ready, readsDirectly: hold !== undefined && context.readsDirectly === true };
  const snapshot = await kind.snapshot(store.target, look, { ...context, ...pins, ...how });
  // A server that does not run has nothing to be told: its point in time is fixed in any case.
  if (!isReady) await readyOrDispose(beforePin, snapshot);
  pinning?.pinned();
  try {
    let report: HoldReport | undefined;
    const letGo = async () => {
      report = await hold?.release();
    };
    const { signal, scratchDir } = context;
    const total = look.estimatedBytes;
    const summary = await writeArchive(snapshot.tar, publication.file, {
      ...compression,
      signal,
      ...(hold ? { spool: { directory: scratchDir, onRead: letGo } } : {}),
      ...(snapshot.skip ? { skip: snapshot.skip } : {}),
      watch: snapshot.watch,
      onProgress: (doneBytes) =>
        context.emit({
          type: 'progress',
          store: store.name,
          phase: 'reading',
          doneBytes,
          ...(total === undefined ? {} : { totalBytes: total }),
        }),
    });
    const notes = snapshot.notes?.() ?? [];
    for (const message of notes) context.emit({ type: 'warning', store: store.name, message });
    if (report && !report.consistent) throw cameBack(store.name);
    if (prepared instanceof ServerHold) await prepared.warnUnlessServing();
    return { summary, snapshot, notes, hold: report, pinnedAt: heldAt ?? snapshot.pinnedAt };
  } finally {
    await snapshot.dispose?.();
  }
}

async function readyOrDispose(ready: () => Promise<void>, snapshot: Snapshot): Promise<void> {
  try {
    await ready();
  } catch (error) {
    await snapshot.dispose?.();
    throw error;
  }
}

/** It is down meanwhile, and others may take long. */
const mostCourtesyMs = 1000;

/**
 * While its containers are held nobody writes to it: its point in time is fixed, and the clients go on first, because reading
 * it is work for the same Engine.
 */
async function pinnedByHold(pinning: Pinning<ReadyStore> | undefined): Promise<void> {
  if (!pinning) return;
  pinning.pinned();
  const waits = new AbortController();
  const timeout = sleep(mostCourtesyMs, undefined, { signal: waits.signal }).catch(() => undefined);
  await Promise.race([pinning.released(), timeout]);
  waits.abort();
}

async function prepareHoldFor(
  run: Run,
  kind: Store,
  store: ConfiguredStore,
  look: Look,
  context: HoldContext & { readonly quiesce: Quiesce },
): Promise<PreparedHold | ServerHold | undefined> {
  const { quiesce } = context;
  if (quiesce === 'none') return undefined;
  const ofServer = await prepareServerHold(run, store);
  if (ofServer) return ofServer;
  return prepareHold({
    docker: await context.docker(),
    volumes: look.volumes,
    quiesce,
    ...graceOf(kind, store),
    guard: context.guard,
    store: store.name,
    emit: context.emit,
    signal: context.signal,
    takesTurns: true,
  });
}

async function publish(
  run: Run,
  store: ConfiguredStore,
  publication: Publication,
  metadata: Metadata,
): Promise<Backup> {
  run.signal.throwIfAborted();
  await publication.commit(metadata);
  const { backups } = await run.repository.list();
  const made = backups.find((candidate) => candidate.stem === publication.stem);
  if (made) return made;
  throw new PkbackupError('backup_failed', `${store.name}: the backup was written but is not listed`);
}

/** In the metadata, which every listing reads. */
const mostNotes = 20;

function describe(store: ConfiguredStore, look: Look, read: Read, quiesce: Quiesce): Metadata {
  const { summary, snapshot, notes, hold, pinnedAt } = read;
  return {
    schema_version: schemaVersion,
    backup_file: '',
    created_at: pinnedAt.toISOString(),
    store: store.name,
    kind: store.kind,
    source: { ...look.source },
    ...(look.version === undefined ? {} : { store_version: look.version }),
    quiesce,
    downtime_ms: hold?.downtimeMs ?? 0,
    ...(hold ? { clean_stop: hold.killed.length === 0 } : {}),
    size_bytes: summary.sizeBytes,
    raw_size_bytes: summary.rawSizeBytes,
    content_bytes: summary.contentBytes,
    entries: summary.entries,
    ...(look.storedBytes === undefined ? {} : { stored_bytes: look.storedBytes }),
    sha256: summary.sha256,
    counts: snapshot.counts ?? look.counts,
    ...(look.databases ? { databases: look.databases } : {}),
    ...(notes.length > 0 ? { notes: notes.slice(0, mostNotes) } : {}),
    ...(snapshot.samples && snapshot.samples.length > 0
      ? { samples: snapshot.samples.map((one) => ({ ...one })) }
      : {}),
    hostname: hostname(),
    tool_version: version,
    checks: [],
  };
}

/** Where nobody can be held, nobody is. */
function quiesceOf(wanted: Quiesce, { volumes }: Look, onHost: HostServer | undefined): Quiesce {
  const isHeld = volumes.length > 0 || (onHost !== undefined && !onHost.isSavedHot);
  return isHeld ? wanted : 'none';
}

function chooseQuiesce(
  kind: Store,
  store: ConfiguredStore,
  { isConsistent = false }: { isConsistent?: boolean },
): Quiesce {
  const safe = allowedQuiesce(kind, store.target);
  const { default: usual, whenConsistent } = kind.quiesce;
  const isShort = isConsistent && whenConsistent !== undefined && safe.includes(whenConsistent);
  const quiesce = store.quiesce ?? (isShort ? whenConsistent : usual);
  if (safe.includes(quiesce)) return quiesce;
  const allowed = safe.map((mode) => `"${mode}"`).join(' or ');
  throw new PkbackupError(
    'config',
    `${store.name}: quiesce "${quiesce}" is not safe for ${store.kind}: expected ${allowed}`,
    { hint: `docs/stores/${store.kind}.md says why` },
  );
}

function cameBack(store: string): PkbackupError {
  return new PkbackupError(
    'backup_failed',
    `${store}: a container started again while its data was read, so the copy is not of one moment`,
    { hint: 'see what starts it (a restart policy, an orchestrator, a person) and back up again' },
  );
}

/** What went wrong on the way of a backup is a failed backup, whatever code the part gave it. */
export function asFailedBackup(error: unknown): PkbackupError {
  const system = systemCodeOf(error);
  const known = system && systemFailures[system];
  if (known) return new PkbackupError('backup_failed', known.message, { cause: error, hint: known.hint });
  const failed = asPkbackupError(error, 'backup_failed', 'the backup failed');
  if (failed.code === 'bad_backup') {
    return failedWith(`what the store sent is not whole: ${failed.message}`, failed);
  }
  return failed.code === 'failed' || failed.code === 'unhealthy'
    ? failedWith(failed.message, failed)
    : failed;
}

function failedWith(message: string, cause: PkbackupError): PkbackupError {
  const { hint } = cause;
  return new PkbackupError('backup_failed', message, { cause, ...(hint === undefined ? {} : { hint }) });
}

const nothingIsLeft = 'nothing of this backup is left behind';

const vanished = {
  message: 'the repository vanished while the backup was written',
  hint: 'see whether its disk or network share is still mounted, then back up again',
};

/** Stores say themselves what they cannot read: these come from the repository. */
const systemFailures: Readonly<Record<string, { message: string; hint: string }>> = {
  ENOSPC: {
    message: 'the repository is full (no space left on device)',
    hint: `${nothingIsLeft}; make room with pkbackup prune, or choose another repository with --backup-dir`,
  },
  EDQUOT: {
    message: 'the quota of the repository is used up',
    hint: `${nothingIsLeft}; make room with pkbackup prune, or choose another repository with --backup-dir`,
  },
  EROFS: {
    message: 'the repository is on a file system that became read-only',
    hint: 'mount it for writing, or choose another repository with --backup-dir',
  },
  ENOENT: vanished,
  ENODEV: vanished,
  ENOTCONN: vanished,
  ESTALE: vanished,
  EIO: {
    message: 'the repository cannot be written to (input/output error)',
    hint: 'look at the disk or the network share before the next backup',
  },
};
