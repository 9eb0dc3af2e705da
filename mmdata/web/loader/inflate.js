/** zlib streams -> bytes. */

import { isNode } from "./runtime.js";

/**
 * @param {Uint8Array[]} parts A zlib stream, in parts.
 * @param {number} size Number of bytes that it holds.
 * @returns {Promise<Uint8Array | null>} null if it is damaged or holds another number of bytes.
 */
export async function inflate(parts, size) {
  const bytes = await (isNode ? inflateInNode(parts, size) : inflateInBrowser(parts, size)).catch(
    () => null,
  );
  return bytes?.length === size ? bytes : null;
}

/**
 * @param {Uint8Array[]} parts
 * @param {number} size
 * @returns {Promise<Uint8Array>}
 */
async function inflateInNode(parts, size) {
  const zlib = await import("node:zlib");
  const stream = parts.length === 1 ? parts[0] : Buffer.concat(parts);
  return new Promise((resolve, reject) => {
    // One more byte than needed: no second buffer to be joined.
    const options = { chunkSize: Math.max(64, size + 1), maxOutputLength: size + 1 };
    zlib.inflate(stream, options, (error, bytes) => (error ? reject(error) : resolve(bytes)));
  });
}

/**
 * @param {Uint8Array[]} parts
 * @param {number} size
 */
async function inflateInBrowser(parts, size) {
  const blob = new Blob(/** @type {BlobPart[]} */ (parts));
  const reader = blob.stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  const bytes = new Uint8Array(size);
  for (let at = 0; ; ) {
    const { done, value } = await reader.read();
    if (done) return bytes.subarray(0, at);
    bytes.set(value, at); // a RangeError if there is too much
    at += value.length;
  }
}
