/** Byte-pair merges, and the alphabet in which they write bytes. Source: GPT-2's `encoder.py`. */

import { bytesOf } from "./characters.js";
import { mergePairs } from "./merge_pairs.js";

const isShown = (/** @type {number} */ byte) =>
  (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
const BYTES = [...Array(256).keys()];
const SHOWN = BYTES.filter(isShown);
const HIDDEN = BYTES.filter((byte) => !isShown(byte));

/** Each byte in the order of ids, and how it is written. @type {Map<number, string>} */
export const ALPHABET = new Map([
  ...SHOWN.map((byte) => /** @type {const} */ ([byte, String.fromCharCode(byte)])),
  ...HIDDEN.map((byte, place) => /** @type {const} */ ([byte, String.fromCharCode(0x100 + place)])),
]);

const LETTERS = BYTES.map((byte) => /** @type {string} */ (ALPHABET.get(byte)));
const BYTE_OF = new Map(BYTES.map((byte) => [LETTERS[byte], byte]));

/**
 * @param {string} text
 * @returns {string[]} Its bytes, as the alphabet writes them.
 */
export function spelled(text) {
  return Array.from(bytesOf(text), (byte) => LETTERS[byte]);
}

/**
 * @param {string} token A token in the alphabet.
 * @returns {number[]} Its bytes.
 */
export function unspelled(token) {
  return Array.from(token, (letter) => /** @type {number} */ (BYTE_OF.get(letter)));
}

/**
 * @param {string[]} merges Such as "a b", by rank.
 * @returns {(symbols: string[]) => string[]} Merges symbols.
 */
export function merger(merges) {
  const ranks = new Map(merges.map((merge, rank) => [merge, rank]));
  return (symbols) => mergePairs(symbols, (left, right) => ranks.get(`${left} ${right}`));
}
