import { describe, expect, it, vi } from 'vitest';
import { chooseStores } from '../../src/config/choose-stores.ts';
import type { ConfiguredStore } from '../../src/config/types.ts';

const store = (name: string, origin = 'pkbackup.yaml:1'): ConfiguredStore => ({
  name,
  kind: 'sqlite',
  target: {},
  origin,
});
const configured = [store('events'), store('memory')];
const found = [store('vectors', 'container "a-vectors-1"'), store('graph', 'container "a-graph-1"')];
const names = (stores: readonly ConfiguredStore[]) => stores.map(({ name }) => name);

describe('chooseStores', () => {
  it('takes all that are configured, without asking Docker', async () => {
    const discover = vi.fn();
    expect(names(await chooseStores([], configured, discover))).toEqual(['events', 'memory']);
    expect(names(await chooseStores(['memory'], configured, discover))).toEqual(['memory']);
    expect(discover).not.toHaveBeenCalled();
  });

  it('takes all that are discovered where none is configured', async () => {
    expect(names(await chooseStores([], [], async () => found))).toEqual(['vectors', 'graph']);
  });

  it('finds those that are named, the configured ones first, each once, in the order of their names', async () => {
    const both = [...found, store('events', 'container "a-events-1"')];
    const chosen = await chooseStores(['graph', 'events', 'graph'], configured, async () => both);
    expect(chosen.map(({ origin }) => origin)).toEqual(['container "a-graph-1"', 'pkbackup.yaml:1']);
  });

  it('refuses a name that nobody has, with the near one', async () => {
    await expect(chooseStores(['vector'], configured, async () => found)).rejects.toMatchObject({
      code: 'not_found',
      message: 'no such store: "vector", did you mean "vectors"?',
      hint: 'the stores are events, memory, vectors, graph',
    });
  });

  it('refuses a name that two containers have, naming both', async () => {
    const doubled = [...found, store('vectors', 'container "b-vectors-1"')];
    const expected = {
      code: 'ambiguous',
      message: 'store "vectors" is ambiguous: container "a-vectors-1", container "b-vectors-1"',
    };
    await expect(chooseStores([], [], async () => doubled)).rejects.toMatchObject(expected);
    await expect(chooseStores(['vectors'], [], async () => doubled)).rejects.toMatchObject(expected);
    expect(names(await chooseStores(['graph'], [], async () => doubled))).toEqual(['graph']);
  });

  it('says so where there is nothing at all', async () => {
    await expect(chooseStores([], [], async () => [])).rejects.toMatchObject({ code: 'not_found' });
  });
});
