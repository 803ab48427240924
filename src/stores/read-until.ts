// A program that goes on running, and what is waited for in what it says.

/** Reads on until `find` finds something in all that was said; throws what `ended` gives where it ends before. */
export async function readUntil<Found>(
  output: AsyncGenerator<Buffer>,
  find: (text: string) => Found | undefined,
  ended: () => Error,
): Promise<Found> {
  let text = '';
  for (;;) {
    const { value, done } = await output.next();
    if (done) throw ended();
    text += value.toString('utf8');
    const found = find(text);
    if (found !== undefined) return found;
  }
}
