/**
 * Sets of characters, and UTF-8.
 *
 * A JavaScript engine's `\p{L}` is of its own Unicode version. So the sets that decide about token
 * ids come from the data, as TensorFlow has them.
 */

/**
 * @typedef {number[]} Ranges How many code points are not in the set, how many are, how many are
 *   not, and so on, from 0.
 */

/** Unicode's white space but U+0020, for a class of a regular expression. */
export const OTHER_SPACE =
  "\\t-\\r\\u{85}\\u{a0}\\u{1680}\\u{2000}-\\u{200a}\\u{2028}\\u{2029}\\u{202f}\\u{205f}\\u{3000}";

/** Unicode's white space, for a class of a regular expression. */
export const SPACE = " " + OTHER_SPACE;

/** White space as TensorFlow's `tf.strings.split` knows it. */
export const ASCII_SPACE = /[\t-\r ]+/;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * A set as the inside of a class of a regular expression with the flag "u".
 *
 * @param {Ranges} ranges
 * @returns {string} Such as "\u{41}-\u{5a}".
 */
export function classOf(ranges) {
  let found = "";
  let end = 0;
  for (let i = 0; i < ranges.length; i += 2) {
    const start = end + ranges[i];
    end = start + ranges[i + 1];
    found += `\\u{${start.toString(16)}}-\\u{${(end - 1).toString(16)}}`;
  }
  return found;
}

/**
 * @param {string} text
 * @returns {string} The text with U+FFFD for each half of a surrogate pair.
 */
export function wellFormed(text) {
  return text.replace(/[\ud800-\udfff]/gu, "\ufffd");
}

/**
 * @param {string} text Well-formed.
 * @returns {Uint8Array} Its UTF-8.
 */
export function bytesOf(text) {
  return encoder.encode(text);
}

/**
 * @param {number[]} bytes Of UTF-8, valid or not.
 * @returns {string} With U+FFFD for what is invalid.
 */
export function textOf(bytes) {
  return decoder.decode(Uint8Array.from(bytes));
}

/**
 * @param {string} text
 * @param {number} start Where a character begins.
 * @returns {number} Where it ends.
 */
export function endOfCharacter(text, start) {
  return start + ((text.codePointAt(start) ?? 0) > 0xffff ? 2 : 1);
}
