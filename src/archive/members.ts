// Where a tar is cut into members. The content says where: a large file starts a member of its own and is cut at fixed
// offsets from its start; small files stay together, and their group ends where a name's hash says so. So the same
// content gives the same members, whatever lies around it: the seam for storing each member once.
import { letGoIfAlone } from './given-up.ts';
import { nothing, padding, type TarEntry } from './tar-format.ts';

export const memberBytes = 1024 * 1024;
const largeFileBytes = memberBytes / 2;
const smallestGroupBytes = memberBytes / 4;
/** One name in eight may end a group: groups then hold about half a member more than the smallest. */
const groupEndMask = 0x7;
/** No member is longer than this, uncompressed: a full group and the headers of a large file. */
export const longestMemberBytes = 8 * memberBytes;

/** Takes the pieces of a tar in order and gives members of it, each to be compressed on its own. */
export class MemberCutter {
  /** The present entry is left out: its data is not to be given to `data`. */
  isSkipping = false;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #entry: TarEntry | undefined;
  #missing = 0;

  *entry(entry: TarEntry, raw: Buffer): Generator<Buffer> {
    this.#add(raw);
    this.#entry = entry;
    this.#missing = entry.size;
    if (entry.size >= largeFileBytes) yield* this.#cut();
    if (entry.size === 0) yield* this.#endEntry();
  }

  *data(bytes: Buffer): Generator<Buffer> {
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
  *end(endOfArchive: Buffer): Generator<Buffer> {
    this.#add(endOfArchive);
    yield* this.#cut();
  }

  #isLarge(): boolean {
    return (this.#entry?.size ?? 0) >= largeFileBytes;
  }

  *#endEntry(): Generator<Buffer> {
    const entry = this.#entry;
    if (!entry) return;
    const isLarge = this.#isLarge();
    this.#add(padding(entry.size));
    this.#entry = undefined;
    const isFull = this.#bytes >= memberBytes;
    const mayEnd = this.#bytes >= smallestGroupBytes && (hashOf(entry.path) & groupEndMask) === 0;
    if (isLarge || isFull || mayEnd) yield* this.#cut();
  }

  #add(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#chunks.push(bytes);
    this.#bytes += bytes.length;
  }

  *#cut(): Generator<Buffer> {
    if (this.#bytes === 0) return;
    const [first = nothing, ...others] = this.#chunks;
    const member = others.length === 0 ? first : Buffer.concat(this.#chunks, this.#bytes);
    if (others.length > 0) this.#chunks.forEach(letGoIfAlone);
    this.#chunks = [];
    this.#bytes = 0;
    yield member;
  }
}

/** FNV-1a. */
function hashOf(bytes: Buffer): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash ^ (hash >>> 15)) >>> 0;
}
