/** Single characters, as Python's `Character`. */

import { idsOf } from "./vocabulary.js";

const FIRST = 4; // no text becomes a special token

/**
 * @param {import("./tokenizers.js").TokenizerJson} json
 * @returns {import("./tokenizers.js").Encoding}
 */
export function create({ vocabulary, unknown_id }) {
  const ids = idsOf(vocabulary, FIRST);
  return {
    encode: (text) => Array.from(text, (character) => ids.get(character) ?? unknown_id),
    decode: (places) => places.map((place) => vocabulary[place]).join(""),
  };
}
