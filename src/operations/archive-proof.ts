// What one whole reading of an archive shows: its checksum, its form to the last byte, its names, and what a look at the
// content as it flows by can tell. It hands on what it reads, so that who needs the content anyway (a check of the database
// in it, a restore that stages it) costs no second reading.
import { createHash, type Hash } from 'node:crypto';
import { EntryGuard } from '../archive/entry-guard.ts';
import type { ReadOptions } from '../archive/read-archive.ts';
import type { TarEntry } from '../archive/tar-format.ts';
import { TarScanner } from '../archive/tar-scan.ts';
import { messageOf, PkbackupError } from '../errors.ts';
import { readContent } from '../legacy/index.ts';
import type { Backup, LooseArchive } from '../repository/index.ts';
import type { BackupFacts, Content, ContentReport, ContentWatch } from '../stores/store.ts';
import type { Run } from './run.ts';

/** What the archive says of itself, and the metadata may not. */
export type Shown = Pick<BackupFacts, 'databases' | 'rawSizeBytes' | 'entries'>;

export interface Proof {
  /** Of the form; an empty list is a pass. */
  readonly findings: readonly string[];
  /** Of the file. */
  readonly sha256: string;
  readonly shown: Shown;
  /** What the watch says. */
  readonly watched: ContentReport | undefined;
}

export interface ProofOptions {
  readonly watch?: (() => ContentWatch) | undefined;
  /** Who takes the content is done with each chunk when it asks for the next one, and tells how far it is. */
  readonly isStaged?: boolean;
}

export class ArchiveProof implements Content {
  readonly #run: Run;
  readonly #target: Backup | LooseArchive;
  readonly #watch: (() => ContentWatch) | undefined;
  readonly #isStaged: boolean;
  #proof: Proof | undefined;
  #error: unknown;
  #refusal: PkbackupError | undefined;

  constructor(run: Run, target: Backup | LooseArchive, options: ProofOptions = {}) {
    this.#run = run;
    this.#target = target;
    this.#watch = options.watch;
    this.#isStaged = options.isStaged ?? false;
  }

  /** Throws `bad_backup` for whatever is wrong: at the end at the latest, and before it hands on what is hostile. */
  async *tar(): AsyncGenerator<Buffer> {
    for await (const { chunk, hostile } of this.#read({ isFleeting: this.#isStaged })) {
      if (hostile !== undefined) throw this.#refuse(hostile);
      yield chunk;
    }
    const [finding] = this.#proof?.findings ?? [];
    if (finding !== undefined) throw this.#refuse(finding);
  }

  /** What `tar` has thrown because of the archive. */
  get refusal(): PkbackupError | undefined {
    return this.#refusal;
  }

  /** A reading has come to its end, or was broken off by the archive or by what it lies on. */
  get isRead(): boolean {
    return this.#proof !== undefined || this.#error !== undefined;
  }

  /** Reads all of it, unless somebody has done so. Throws what a reading threw. */
  async settle(): Promise<Proof> {
    if (this.#error !== undefined) throw this.#error;
    if (!this.#proof) for await (const _ of this.#read({ isFleeting: true }));
    if (!this.#proof) throw new Error('a reading has ended without a proof');
    return this.#proof;
  }

  #refuse(finding: string): PkbackupError {
    this.#refusal = new PkbackupError('bad_backup', finding);
    return this.#refusal;
  }

  async *#read({ isFleeting }: Required<Pick<ReadOptions, 'isFleeting'>>): AsyncGenerator<{
    chunk: Buffer;
    hostile: string | undefined;
  }> {
    const { path, metadata } = this.#target;
    const reading = new Reading(this.#target, this.#watch?.());
    const count = this.#isStaged ? () => {} : progressOf(this.#run, this.#target);
    const onBytes = (bytes: Buffer) => {
      reading.hash.update(bytes);
      count(bytes.length);
    };
    try {
      const options = { signal: this.#run.signal, onBytes, isFleeting };
      for await (const chunk of readContent(path, metadata?.form, options)) {
        reading.take(chunk);
        yield { chunk, hostile: reading.hostile };
      }
      this.#proof = reading.end();
    } catch (error) {
      this.#error ??= error;
      throw error;
    }
  }
}

export const wrongChecksum = (expected: string | undefined, found: string | undefined): string =>
  `the checksum is wrong: expected ${expected}, got ${found}`;

class Reading {
  readonly hash: Hash = createHash('sha256');
  readonly #metadata: (Backup | LooseArchive)['metadata'];
  readonly #watch: ContentWatch | undefined;
  readonly #scanner = new TarScanner();
  readonly #guard = new EntryGuard();
  /** What is wrong with an entry; one is enough to refuse all of it. */
  hostile: string | undefined;
  #entries = 0;
  #rawSizeBytes = 0;

  constructor({ metadata }: Backup | LooseArchive, watch: ContentWatch | undefined) {
    this.#metadata = metadata;
    this.#watch = watch;
  }

  /** What decompresses to a thousand times its size is not read to its end. */
  take(chunk: Buffer): void {
    const { raw_size_bytes: limitBytes = Number.POSITIVE_INFINITY } = this.#metadata ?? {};
    this.#rawSizeBytes += chunk.length;
    if (this.#rawSizeBytes > limitBytes) {
      const what = `the archive holds more than the ${limitBytes} bytes of tar that its metadata says`;
      throw new PkbackupError('bad_backup', what);
    }
    for (const piece of this.#scanner.scan(chunk)) {
      if (piece.type === 'entry') this.#look(piece.entry);
      if (this.hostile === undefined) this.#watch?.add(piece);
    }
  }

  #look(entry: TarEntry): void {
    this.#entries += 1;
    if (this.hostile !== undefined) return;
    try {
      this.#guard.check(entry);
    } catch (error) {
      this.hostile = messageOf(error);
    }
  }

  end(): Proof {
    this.#scanner.end();
    const { entries, raw_size_bytes: rawSizeBytes } = this.#metadata ?? {};
    const findings = [
      ...(this.hostile === undefined ? [] : [this.hostile]),
      ...differing('entries', entries, this.#entries),
      ...differing('bytes of tar', rawSizeBytes, this.#rawSizeBytes),
    ];
    const watched = this.#watch?.report();
    const shown = { rawSizeBytes: this.#rawSizeBytes, entries: this.#entries };
    return { findings, sha256: this.hash.digest('hex'), shown, watched };
  }
}

function differing(what: string, expected: number | undefined, found: number): string[] {
  if (expected === undefined || expected === found) return [];
  return [`the archive has ${found} ${what}, its metadata says ${expected}`];
}

/** A function that counts bytes of the file. */
export function progressOf(run: Run, target: Backup | LooseArchive): (bytes: number) => void {
  if (!target.metadata) return () => {};
  const { store, size_bytes: totalBytes } = target.metadata;
  let doneBytes = 0;
  return (bytes) => {
    doneBytes += bytes;
    run.emit({ type: 'progress', store, phase: 'verifying', doneBytes, totalBytes });
  };
}
