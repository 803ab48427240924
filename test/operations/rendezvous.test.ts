import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Rendezvous } from '../../src/operations/rendezvous.ts';

function recorded(fails?: 'hold' | 'release') {
  const log: string[] = [];
  const act = (what: 'hold' | 'release') => async () => {
    log.push(what);
    await sleep(5);
    if (fails === what) throw new Error(`no ${what}`);
    log.push(`${what} done`);
  };
  const release = async () => {
    await act('release')();
    return 7;
  };
  const hold = async () => {
    await act('hold')();
    return { release };
  };
  return { log, writers: { hold, release } };
}

describe('a rendezvous', () => {
  it('holds the writers when all are ready, and lets them go when the last is pinned', async () => {
    const { log, writers } = recorded();
    const rendezvous = new Rendezvous(2, writers, 1000);
    const [one, two] = [rendezvous.join(), rendezvous.join()];
    const first = one.ready('it').then(() => log.push('one is let through'));
    await sleep(10);
    expect(log).toEqual([]);
    await Promise.all([first, two.ready('it')]);
    one.pinned();
    one.pinned();
    await sleep(10);
    expect(log).toEqual(['hold', 'hold done', 'one is let through']);
    const goesOn = one.released().then(() => log.push('one knows'));
    two.pinned();
    await goesOn;
    const { heldMs, isConsistent } = await rendezvous.result();
    expect(log.slice(3)).toEqual(['release', 'release done', 'one knows']);
    expect(isConsistent).toBe(true);
    expect(heldMs).toBe(7);
  });

  it('does not wait for a store that has failed, before or after the hold', async () => {
    const { log, writers } = recorded();
    const rendezvous = new Rendezvous(3, writers, 1000);
    const [one, two, three] = [rendezvous.join(), rendezvous.join(), rendezvous.join()];
    three.leave();
    await Promise.all([one.ready('it'), two.ready('it')]);
    one.pinned();
    two.leave();
    expect(await rendezvous.result()).toMatchObject({ isConsistent: true });
    expect(log).toEqual(['hold', 'hold done', 'release', 'release done']);
  });

  it('holds nobody where no store is left', async () => {
    const { log, writers } = recorded();
    const rendezvous = new Rendezvous(1, writers, 1000);
    rendezvous.join().leave();
    expect(await rendezvous.result()).toEqual({ heldMs: undefined, isConsistent: false });
    expect(log).toEqual([]);
  });

  it('lets the writers go after the deadline, and says that the stores are not of one moment', async () => {
    const { log, writers } = recorded();
    const rendezvous = new Rendezvous(2, writers, 20);
    const [one, two] = [rendezvous.join(), rendezvous.join()];
    await Promise.all([one.ready('it'), two.ready('it')]);
    one.pinned();
    await sleep(60);
    expect(log).toContain('release done');
    two.pinned();
    expect(await rendezvous.result()).toMatchObject({ isConsistent: false });
  });

  it('tells every store where the writers cannot be held', async () => {
    const { log, writers } = recorded('hold');
    const rendezvous = new Rendezvous(2, writers, 1000);
    const stores = [rendezvous.join(), rendezvous.join()];
    const told = await Promise.allSettled(stores.map((store) => store.ready('it')));
    expect(told.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    for (const store of stores) store.leave();
    await rendezvous.result();
    expect(log).toEqual(['hold']);
  });

  it('waits for a hold that is under way before it lets go', async () => {
    const { log, writers } = recorded();
    const rendezvous = new Rendezvous(1, writers, 1000);
    const store = rendezvous.join();
    const ready = store.ready('it');
    store.leave();
    await ready;
    await rendezvous.result();
    expect(log).toEqual(['hold', 'hold done', 'release', 'release done']);
  });

  it('says that writers were not let go', async () => {
    const { writers } = recorded('release');
    const rendezvous = new Rendezvous(1, writers, 1000);
    const store = rendezvous.join();
    await store.ready('it');
    store.pinned();
    await store.released();
    expect(await rendezvous.result()).toMatchObject({ isConsistent: false, error: new Error('no release') });
  });
});
