// What the tests of the stores on this host share: a context that keeps its events, and the whole way of a backup and a
// restore without a repository.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Event } from '../../src/events.ts';
import type { BackupFacts, Content, Restoration, Store, StoreContext } from '../../src/stores/store.ts';
import type { Counts } from '../../src/words.ts';
import { gather, inChunks, makeTempDir } from '../archive/gather.ts';

export interface TestContext extends StoreContext {
  readonly events: Event[];
  readonly controller: AbortController;
}

export function makeContext(more: Partial<StoreContext> = {}): TestContext {
  const events: Event[] = [];
  const controller = new AbortController();
  const scratchDir = join(makeTempDir(), 'scratch');
  mkdirSync(scratchDir);
  return {
    store: 'tested',
    emit: (event) => events.push(event),
    signal: controller.signal,
    docker: () => Promise.reject(new Error('no Docker is needed here')),
    scratchDir,
    environment: {},
    events,
    controller,
    ...more,
  };
}

export interface Made {
  readonly tar: Buffer;
  readonly facts: BackupFacts;
  readonly content: Content;
  readonly pinnedAt: Date;
  readonly notes: readonly string[];
}

export async function makeBackup<Target>(
  store: Store<Target>,
  target: Target,
  context = makeContext(),
): Promise<Made> {
  const look = await store.look(target, context);
  const snapshot = await store.snapshot(target, look, context);
  try {
    const tar = await gather(snapshot.tar);
    const counts = { ...(snapshot.counts ?? look.counts) };
    const facts: BackupFacts = {
      kind: store.kind,
      store: 'tested',
      source: look.source,
      counts,
      rawSizeBytes: tar.length,
    };
    const notes = snapshot.notes?.() ?? [];
    return { tar, facts, content: contentOf(tar), pinnedAt: snapshot.pinnedAt, notes };
  } finally {
    await snapshot.dispose?.();
  }
}

export const contentOf = (tar: Buffer): Content => ({ tar: () => inChunks(tar, 100_003) });

/** All steps, as the operation calls them; the previous data as a tar, where there was any. */
export async function restoreFully(
  restoration: Restoration,
  content: Content,
): Promise<{ counts: Counts; previous: Buffer | undefined }> {
  await restoration.stage(content);
  await restoration.swap();
  const counts = await restoration.check();
  const snapshot = await restoration.previous();
  const previous = snapshot && (await gather(snapshot.tar));
  await snapshot?.dispose?.();
  await restoration.discard();
  return { counts, previous };
}
