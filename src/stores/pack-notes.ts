// What moved under our hands while a tree of this host was packed, as one line for each way.
import type { PackNote } from '../archive/pack-tree.ts';

const noteTexts: Record<PackNote, string> = {
  changed: 'changed while read',
  grown: 'grew while read; saved as long as it was at the start',
  shrunk: 'became shorter while read; filled up with zeros',
  vanished: 'vanished before it was read',
  socket: 'left out: a socket',
  device: 'left out: a device',
};

export class PackNotes {
  readonly #seen = new Map<PackNote, { count: number; first: string }>();

  add(name: string, what: PackNote): void {
    const known = this.#seen.get(what);
    if (known) known.count += 1;
    else this.#seen.set(what, { count: 1, first: name });
  }

  /** `3 changed while read ("a.json" ...)`. */
  lines(): string[] {
    return [...this.#seen].map(
      ([what, { count, first }]) => `${count} ${noteTexts[what]} ("${first}"${count > 1 ? ' ...' : ''})`,
    );
  }
}
