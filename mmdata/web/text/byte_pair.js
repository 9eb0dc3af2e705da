/** The tokenizer of GPT-2 and RoBERTa, as Python's `BytePair`. */

import { SPACE, bytesOf, classOf, textOf } from "./characters.js";
import { ALPHABET, merger, spelled, unspelled } from "./merges.js";
import { cached, idsOf } from "./vocabulary.js";

/**
 * @param {import("./tokenizers.js").TokenizerJson} json
 * @returns {import("./tokenizers.js").Encoding}
 */
export function create({ vocabulary, merges, characters }) {
  const ids = idsOf(vocabulary);
  const word = wordPattern(classOf(characters.letter), classOf(characters.digit));
  const merge = merger(merges);
  const idsOfWord = cached((found) =>
    merge(spelled(found)).map((token) => /** @type {number} */ (ids.get(token))),
  );
  const made = new Set(merges.map((/** @type {string} */ pair) => pair.replace(" ", "")));
  for (const letter of ALPHABET.values()) made.add(letter);
  const bytes = (/** @type {number} */ id) => {
    const token = vocabulary[id];
    return made.has(token) ? unspelled(token) : [...bytesOf(token)];
  };
  return {
    encode: (text) => (text.match(word) ?? []).flatMap(idsOfWord),
    decode: (places) => textOf(places.flatMap(bytes)),
  };
}

/**
 * Words, each with one space before it. Of other white space, only the last character is separate.
 *
 * @param {string} letter
 * @param {string} digit
 */
function wordPattern(letter, digit) {
  const other = `[^${SPACE}${letter}${digit}]`;
  const words = `'s|'t|'re|'ve|'m|'ll|'d| ?[${letter}]+| ?[${digit}]+| ?${other}+`;
  return new RegExp(`${words}|[${SPACE}]+(?![^${SPACE}])|[${SPACE}]+`, "gu");
}
