// How far a restore is with what it stages.
import type { StoreContext } from './store.ts';

/** To be called with the bytes of content so far; `totalBytes` are those that are expected, where anybody knows. */
export function stagingProgress(
  { emit, store }: Pick<StoreContext, 'emit' | 'store'>,
  totalBytes: number | undefined,
): (doneBytes: number) => void {
  const total = totalBytes === undefined ? {} : { totalBytes };
  return (doneBytes) => emit({ type: 'progress', store, phase: 'staging', doneBytes, ...total });
}
