import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { backup } from '../../src/operations/backup.ts';
import { inParallel } from '../../src/operations/in-parallel.ts';
import { prune } from '../../src/operations/prune.ts';
import { directoryStore, makeRun, type RunFixture } from './run-fixture.ts';

let fixture: RunFixture;
beforeEach(() => {
  fixture = makeRun();
});
afterEach(() => fixture[Symbol.dispose]());

function makeStores(count: number) {
  return Array.from({ length: count }, (_, index) => {
    const path = join(fixture.directory, `data-${index}`);
    mkdirSync(path);
    writeFileSync(join(path, 'file'), `${index}`);
    return directoryStore(path, `store-${index}`);
  });
}

/** The most that were under way at once, as the events tell. */
function mostAtOnce(): number {
  let now = 0;
  let most = 0;
  for (const { type } of fixture.events) {
    if (type === 'started') now += 1;
    if (type === 'ended') now -= 1;
    most = Math.max(most, now);
  }
  return most;
}

describe('a set', () => {
  it.each([1, 2, 4])('is made of several stores, %d at once', async (parallel) => {
    const stores = makeStores(5);
    const result = await backup(fixture.run, { stores, parallel });
    expect(result.stores.map(({ store, ok }) => [store.name, ok])).toEqual(
      stores.map(({ name }) => [name, true]),
    );
    expect(mostAtOnce()).toBe(parallel);
    const { backups } = await fixture.run.repository.list();
    expect(new Set(backups.map(({ metadata }) => metadata.set_id))).toEqual(new Set([result.setId]));
  });

  it('has a manifest, which says what failed, and how far the moments lie apart', async () => {
    const [one, two] = makeStores(2);
    const gone = directoryStore(join(fixture.directory, 'nowhere'), 'gone');
    const result = await backup(fixture.run, { stores: [one!, gone, two!] });
    const manifest = await fixture.run.repository.manifests.read(result.setId);
    expect(manifest).toMatchObject({ set_id: result.setId, partial: true, consistent: false });
    expect(manifest?.stores.map(({ store, ok }) => [store, ok])).toEqual([
      ['store-0', true],
      ['gone', false],
      ['store-1', true],
    ]);
    expect(manifest?.stores[1]?.error).toContain('is not there');
    expect(manifest?.stores[0]).toMatchObject({ stem: expect.stringMatching(/^store-0-backup-/) });
    const moments = manifest?.stores.flatMap(({ pinned_at }) => (pinned_at ? [Date.parse(pinned_at)] : []));
    expect(manifest?.skew_ms).toBe(Math.abs(moments![0]! - moments![1]!));
    expect(result.skewMs).toBe(manifest?.skew_ms);
  });

  it('of one store has none, and neither has one in which nothing was saved', async () => {
    await backup(fixture.run, { stores: makeStores(1) });
    const gone = ['a', 'b'].map((name) => directoryStore(join(fixture.directory, name), name));
    await backup(fixture.run, { stores: gone });
    expect(await fixture.run.repository.manifests.ids()).toEqual([]);
  });

  it('keeps its manifest until its last backup has left the trash', async () => {
    const stores = makeStores(2);
    const { setId } = await backup(fixture.run, { stores });
    const later = await backup(fixture.run, { stores });
    const ids = async () => (await fixture.run.repository.manifests.ids()).sort();
    await prune(fixture.run, { policy: { keepLast: 1 }, dryRun: false });
    expect((await fixture.run.repository.list()).backups).toHaveLength(2);
    expect(await ids()).toEqual([setId, later.setId].sort());
    await prune(fixture.run, { policy: { keepLast: 1 }, dryRun: false, emptyTrash: true });
    expect(await ids()).toEqual([later.setId]);
  });

  it('that is interrupted ends as a whole, and leaves what was done', async () => {
    const stores = makeStores(4);
    const { run, stop } = fixture;
    let ended = 0;
    const emit: typeof run.emit = (event) => {
      if (event.type === 'ended') ended += 1;
      if (ended === 2) stop.abort();
    };
    await expect(backup({ ...run, emit }, { stores, parallel: 1 })).rejects.toMatchObject({
      code: 'interrupted',
      message: 'interrupted; backed up before: store-0, store-1',
    });
    const { backups, leftovers } = await run.repository.list();
    expect(backups.map(({ store }) => store).sort()).toEqual(['store-0', 'store-1']);
    expect(leftovers).toEqual([]);
  });
});

describe('in parallel', () => {
  it('waits for what has begun, and begins nothing more, when one fails', async () => {
    const log: string[] = [];
    const act = async (item: number) => {
      log.push(`${item}`);
      await sleep(item === 1 ? 5 : 20);
      if (item === 1) throw new Error('no');
      log.push(`${item} done`);
    };
    await expect(inParallel([0, 1, 2, 3], 2, act)).rejects.toThrow('no');
    expect(log).toEqual(['0', '1', '0 done']);
  });
});
