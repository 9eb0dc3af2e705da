/** UTF-8 bytes, as Python's `Byte`. */

import { bytesOf, textOf } from "./characters.js";

const FIRST = 4; // ids of special tokens come before those of bytes
const UNKNOWN = [...bytesOf("[UNK]")];

/** @returns {import("./tokenizers.js").Encoding} */
export function create() {
  return {
    encode: (text) => Int32Array.from(bytesOf(text), (byte) => byte + FIRST),
    decode: (ids) => textOf(ids.flatMap((id) => (id < FIRST ? UNKNOWN : [id - FIRST]))),
  };
}
