// Memory that is given back at once. Left to the garbage collector, which sees only small objects, buffers of a megabyte pile
// up until V8 looks at what lies outside its heap, in each thread.

/** Constants and parts of Node's own pool are smaller. */
const smallestGivenUp = 64 * 1024;

/** For bytes that are all of their memory; does nothing for others. */
export function letGoIfAlone({ buffer, length }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && length === buffer.byteLength && length >= smallestGivenUp)
    buffer.transfer(0);
}

/** With all that lies in the same memory, which MUST be nobody else's, or Node's pool, which stays. */
export function letGoOf({ buffer }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength > Buffer.poolSize) buffer.transfer(0);
}
