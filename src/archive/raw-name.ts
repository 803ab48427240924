// File names as the file system holds them. On POSIX a name is bytes, not text: it is carried in a string of one
// character per byte (latin1), which sorts as the bytes do and takes little memory. On Windows a name is text.

/** A name or path of one character per byte on POSIX, text on Windows; parts are separated by `/`. */
export type RawName = string;

export const rawEncoding = process.platform === 'win32' ? 'utf8' : 'latin1';

export function rawOfText(text: string): RawName {
  return rawOfBytes(Buffer.from(text));
}

export function rawOfBytes(bytes: Buffer): RawName {
  return bytes.toString(rawEncoding);
}

export function bytesOf(raw: RawName): Buffer {
  return Buffer.from(raw, rawEncoding);
}

/** What `node:fs` takes as a path. */
export function pathOf(raw: RawName): Buffer | string {
  return process.platform === 'win32' ? raw : Buffer.from(raw, 'latin1');
}

/** For people and for patterns; bytes that are not UTF-8 become U+FFFD. */
export function textOf(raw: RawName): string {
  return bytesOf(raw).toString('utf8');
}
