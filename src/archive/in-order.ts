// Work on many things at once, results in the order of the input: the bounded queue behind compression and decompression.

/**
 * Maps with at most `limit` calls under way; a slow consumer stops the input. After a failure nothing is left running
 * unheard: calls that were under way are awaited.
 */
export async function* mapInOrder<In, Out>(
  input: AsyncIterable<In> | Iterable<In>,
  limit: number,
  map: (item: In) => Promise<Out>,
): AsyncGenerator<Out> {
  const underWay: Promise<Out>[] = [];
  try {
    for await (const item of input) {
      const result = map(item);
      // A rejection is heard when its turn comes; until then it must not count as unhandled.
      result.catch(() => {});
      underWay.push(result);
      if (underWay.length >= limit) yield await next(underWay);
    }
    while (underWay.length > 0) yield await next(underWay);
  } finally {
    await Promise.allSettled(underWay);
  }
}

function next<Out>(underWay: Promise<Out>[]): Promise<Out> {
  const first = underWay.shift();
  if (!first) throw new Error('the queue is empty');
  return first;
}
