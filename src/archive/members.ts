// Where a tar is cut into members. The content says where: a large file starts a member of its own and is cut at fixed
// offsets from its start; small files stay together, and their group ends where a name's hash says so. So the same
// content gives the same members, whatever lies around it: the seam for storing each member once.
import { type Member, type Slab, slabFor } from './slabs.ts';
import { padding, type TarEntry } from './tar-format.ts';

export const memberBytes = 1024 * 1024;
const largeFileBytes = memberBytes / 2;
const smallestGroupBytes = memberBytes / 4;
/** One name in eight may end a group: groups then hold about half a member more than the smallest. */
const groupEndMask = 0x7;
/** No member is longer than this, uncompressed: a full group and the headers of a large file. */
export const longestMemberBytes = 8 * memberBytes;

/**
 * Takes the pieces of a tar in order, copies them into a slab and gives members, each to be compressed on its own. Who is
 * given one MUST call `into` before asking on.
 */
export class MemberCutter {
  /** The present entry is left out: its data is not to be given to `data`. */
  isSkipping = false;
  #slab: Slab;
  #bytes = 0;
  #size: number | undefined;
  #endsGroup = false;
  #missing = 0;

  constructor(slab: Slab) {
    this.#slab = slab;
  }

  into(slab: Slab): void {
    this.#slab = slab;
  }

  *entry(entry: TarEntry, raw: Buffer): Generator<Member> {
    this.#add(raw);
    this.#size = entry.size;
    this.#missing = entry.size;
    // Now, because the name lies in memory of the source's.
    this.#endsGroup = (hashOf(entry.path) & groupEndMask) === 0;
    if (this.#isLarge()) yield* this.#cut();
    if (entry.size === 0) yield* this.#endEntry();
  }

  *data(bytes: Buffer): Generator<Member> {
    let at = 0;
    while (at < bytes.length) {
      const take = this.#isLarge()
        ? Math.min(bytes.length - at, memberBytes - this.#bytes)
        : bytes.length - at;
      this.#add(bytes.subarray(at, at + take));
      this.#missing -= take;
      at += take;
      if (this.#isLarge() && this.#bytes === memberBytes) yield* this.#cut();
    }
    if (this.#missing === 0) yield* this.#endEntry();
  }

  /** What is left, with the end-of-archive blocks. */
  *end(endOfArchive: Buffer): Generator<Member> {
    this.#add(endOfArchive);
    yield* this.#cut();
  }

  #isLarge(): boolean {
    return (this.#size ?? 0) >= largeFileBytes;
  }

  *#endEntry(): Generator<Member> {
    if (this.#size === undefined) return;
    const isLarge = this.#isLarge();
    this.#add(padding(this.#size));
    this.#size = undefined;
    const isFull = this.#bytes >= memberBytes;
    const mayEnd = this.#bytes >= smallestGroupBytes && this.#endsGroup;
    if (isLarge || isFull || mayEnd) yield* this.#cut();
  }

  #add(bytes: Buffer): void {
    const slab = slabFor(this.#slab, this.#bytes + bytes.length);
    if (slab !== this.#slab) this.#slab.bytes.copy(slab.bytes, 0, 0, this.#bytes);
    bytes.copy(slab.bytes, this.#bytes);
    this.#slab = slab;
    this.#bytes += bytes.length;
  }

  *#cut(): Generator<Member> {
    const length = this.#bytes;
    if (length === 0) return;
    this.#bytes = 0;
    yield { slab: this.#slab, length };
  }
}

/** FNV-1a. */
function hashOf(bytes: Buffer): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash ^ (hash >>> 15)) >>> 0;
}
