// Memory that is given back, or to another thread, at once. Left to the garbage collector, which sees only small objects,
// buffers of a megabyte pile up until V8 looks at what lies outside its heap, in each thread.

/** Constants and parts of Node's own pool are smaller. */
const smallestGivenUp = 64 * 1024;

/** Nobody else's bytes lie in the same memory. */
export function isAlone(bytes: Uint8Array): bytes is Uint8Array<ArrayBuffer> {
  const { buffer, length } = bytes;
  return length === buffer.byteLength && length >= smallestGivenUp && buffer instanceof ArrayBuffer;
}

/** For bytes that are all of their memory; does nothing for others. */
export function letGoIfAlone(bytes: Uint8Array): void {
  if (isAlone(bytes)) bytes.buffer.transfer(0);
}

/** With all that lies in the same memory, which MUST be nobody else's. */
export function letGoOf(bytes: Uint8Array): void {
  letGoOfMemory(bytes.buffer);
}

/** Of one owner, or Node's pool, which stays. */
export function letGoOfMemory(memory: ArrayBufferLike): void {
  if (memory instanceof ArrayBuffer && memory.byteLength > Buffer.poolSize) memory.transfer(0);
}
