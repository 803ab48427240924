// Two stores of one run may use the same container: they hold it one after the other. What another process holds is seen by
// the plan; within this one, a container that is held for one store would look to the next as if somebody else had stopped it.
import { orAborted } from '../docker/index.ts';

export interface Turn {
  /** How many were taken of these containers before. */
  readonly earlier: number;
  /** More calls do nothing. */
  end(): void;
}

const taken = new Map<string, Promise<void>>();
const counts = new Map<string, number>();

const countOf = (id: string): number => counts.get(id) ?? 0;

/** Of all of them together, since the start of the process: where it is another number, somebody had one of them meanwhile. */
export const turnsTaken = (ids: readonly string[]): number => ids.reduce((sum, id) => sum + countOf(id), 0);

export const isAnyTaken = (ids: readonly string[]): boolean => ids.some((id) => taken.has(id));

/** All at once or none, so that two never wait for each other. */
export async function takeTurn(ids: readonly string[], signal: AbortSignal): Promise<Turn> {
  for (let id = ids.find((each) => taken.has(each)); id; id = ids.find((each) => taken.has(each))) {
    await orAborted(taken.get(id), signal);
  }
  const earlier = turnsTaken(ids);
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const id of ids) {
    taken.set(id, promise);
    counts.set(id, countOf(id) + 1);
  }
  return {
    earlier,
    end() {
      for (const id of ids) if (taken.get(id) === promise) taken.delete(id);
      resolve();
    },
  };
}
