/** Files that are not what the manifest says. */

import { crc32 } from "./crc32.js";

const LESS_THAN = 0x3c; // no file of an export begins with "<"

/**
 * The error for a file that ends too early.
 *
 * @param {string} where
 * @param {string} got
 */
export function cutOff(where, got) {
  return new Error(`${where} is cut off: got ${got}. Copy the whole export to the server again.`);
}

/**
 * Raises an error unless a file has the size and the checksum of the manifest.
 *
 * @param {Uint8Array} bytes
 * @param {{ bytes: number, crc32: number }} file What the manifest says.
 * @param {string} where
 */
export function requireSame(bytes, file, where) {
  if (bytes[0] === LESS_THAN) {
    throw new Error(
      `${where} is an HTML page: the server does not have the file. Copy the whole export to it.`,
    );
  }
  if (bytes.length < file.bytes) throw cutOff(where, `${bytes.length} of ${file.bytes} bytes`);
  if (bytes.length > file.bytes || crc32(bytes) !== file.crc32) throw damaged(where);
}

/**
 * The error for a file with other content.
 *
 * @param {string} where
 */
export function damaged(where) {
  return new Error(
    `${where} is damaged: its checksum is not that of the manifest. Copy it to the server again, or ` +
      "export again; a server must not change the files.",
  );
}
