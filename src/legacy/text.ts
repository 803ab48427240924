// Text as it comes from Windows and elsewhere.

/** Without a byte order mark; UTF-16 where that says so, which is what ">" and Out-File of Windows PowerShell write. */
export function decodeText(bytes: Buffer): string {
  const encoding = isUtf16(bytes) ? 'utf-16le' : 'utf-8';
  return new TextDecoder(encoding).decode(bytes);
}

export function isUtf16(bytes: Buffer): boolean {
  return bytes[0] === 0xff && bytes[1] === 0xfe;
}
