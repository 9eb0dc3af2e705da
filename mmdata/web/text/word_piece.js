/** Words, and pieces of rare words, as Python's `WordPiece`. */

import { bytesOf, classOf } from "./characters.js";
import { cached, idsOf, split, wordJoiner } from "./vocabulary.js";

const LONGEST_WORD = 100; // characters

/**
 * @param {import("./tokenizers.js").TokenizerJson} json
 * @returns {import("./tokenizers.js").Encoding}
 */
export function create({ vocabulary, unknown_id, characters }) {
  const ids = idsOf(vocabulary);
  const join = wordJoiner(characters.letter);
  const [space, alone] = [classOf(characters.space), classOf(characters.alone)];
  const word = new RegExp(`[${alone}]|[^${space}${alone}]+`, "gu");
  const lengthen = lengthener(characters.symbol);
  const piecesOf = cached((found) => pieces(found, ids) ?? [unknown_id]);
  return {
    encode: (text) => (lengthen(text).match(word) ?? []).flatMap(piecesOf),
    decode: (places) => {
      const text = places.map((place) => vocabulary[place]).join(" ");
      return join(split(text.replaceAll(" ##", "")));
    },
  };
}

/**
 * The longest pieces of a word, from the left.
 *
 * @param {string} word
 * @param {Map<string, number>} ids
 * @returns {number[] | null} Null if the word is unknown.
 */
function pieces(word, ids) {
  if (bytesOf(word).length > 4 * LONGEST_WORD) return null;
  const found = [];
  let start = 0;
  while (start < word.length) {
    const before = start ? "##" : "";
    let end = word.length;
    let id;
    while (end > start && (id = ids.get(before + word.slice(start, end))) === undefined) end--;
    if (id === undefined) return null;
    found.push(id);
    start = end;
  }
  return found;
}

/**
 * Makes words of over 100 characters longer than 400 bytes, since 400 bytes are the limit.
 *
 * @param {import("./characters.js").Ranges} symbols Characters that are words of their own.
 * @returns {(text: string) => string}
 */
function lengthener(symbols) {
  const symbol = new RegExp(`[${classOf(symbols)}]`, "gu");
  const long = new RegExp(`[^ ]{${LONGEST_WORD + 1},}`, "gu");
  return (text) => {
    if (bytesOf(text).length <= LONGEST_WORD) return text;
    return text.replace(symbol, " $& ").replace(long, "$&$&$&$&");
  };
}
