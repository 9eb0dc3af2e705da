/**
 * The table of replacements that a SentencePiece model makes in a text before splitting it.
 *
 * The size of a trie in 4 bytes; the trie, units of 4 bytes, whose keys are replaced; and the
 * replacements, each with a NUL at its end. Source: sentencepiece `src/normalizer.cc`; darts-clone.
 */

import { textOf } from "./characters.js";

const SIZE = 4; // bytes of a number
const LEAF = 0x80000000;

export class Charsmap {
  #units;
  #texts;
  /** @type {Map<number, string>} */
  #found = new Map();

  /** @param {string} content In base64; may be empty. */
  constructor(content) {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    const numbers = new DataView(bytes.buffer);
    const size = bytes.length ? numbers.getUint32(0, true) : 0;
    this.#units = Uint32Array.from({ length: size / SIZE }, (_, place) =>
      numbers.getUint32(SIZE * (place + 1), true),
    );
    this.#texts = bytes.subarray(SIZE + size);
  }

  /**
   * The longest replacement at a place.
   *
   * @param {Uint8Array} bytes UTF-8.
   * @param {number} start
   * @returns {{ length: number, text: string } | null} Bytes that are replaced, and the new text.
   */
  at(bytes, start) {
    const units = this.#units;
    if (units.length === 0) return null;
    let place = offsetOf(units[0]);
    let length = 0;
    let value = 0;
    for (let i = start; i < bytes.length; i++) {
      place ^= bytes[i];
      const unit = units[place];
      if ((unit & (LEAF | 0xff)) >>> 0 !== bytes[i]) break;
      place ^= offsetOf(unit);
      if ((unit >>> 8) & 1) {
        length = i + 1 - start;
        value = units[place] & ~LEAF;
      }
    }
    return length ? { length, text: this.#textAt(value) } : null;
  }

  /** @param {number} start */
  #textAt(start) {
    let text = this.#found.get(start);
    if (text === undefined) {
      const end = this.#texts.indexOf(0, start);
      text = textOf([...this.#texts.subarray(start, end)]);
      this.#found.set(start, text);
    }
    return text;
  }
}

/** @param {number} unit */
function offsetOf(unit) {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
