/** Whole words, as Python's `Word`. */

import { classOf } from "./characters.js";
import { idsOf, split, wordJoiner } from "./vocabulary.js";

const FIRST = 4; // no text becomes a special token

/**
 * @param {import("./tokenizers.js").TokenizerJson} json
 * @returns {import("./tokenizers.js").Encoding}
 */
export function create({ vocabulary, unknown_id, characters }) {
  const ids = idsOf(vocabulary, FIRST);
  const join = wordJoiner(characters.letter);
  const letters = `[${classOf(characters.word)}]+`;
  const word = new RegExp(`${letters}(?:['\\u2019-]${letters})*|[^\\t\\n\\f\\r ]`, "gu");
  return {
    encode: (text) =>
      split(text.replace(word, " $& ")).map((found) => ids.get(found) ?? unknown_id),
    decode: (places) => join(places.map((place) => vocabulary[place])),
  };
}
