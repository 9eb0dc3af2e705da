/** CLIP's tokenizer, as Python's `ClipBpe`. */

import { SPACE, classOf, textOf } from "./characters.js";
import { ALPHABET, merger, spelled, unspelled } from "./merges.js";
import { cached } from "./vocabulary.js";

const END_OF_WORD = "</w>";
const SPECIAL_TOKENS = ["<|startoftext|>", "<|endoftext|>"];
const CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];
const BLANK = 0x20;

/**
 * @param {import("./tokenizers.js").TokenizerJson} json
 * @returns {import("./tokenizers.js").Encoding}
 */
export function create({ merges, characters, start_id, end_id }) {
  const letters = [...ALPHABET.values()];
  const made = merges.map((/** @type {string} */ merge) => merge.replace(" ", ""));
  const tokens = [...letters, ...letters.map((letter) => letter + END_OF_WORD), ...made];
  /** @type {Map<string, number>} */
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const word = wordPattern(classOf(characters.letter), classOf(characters.digit));
  const merge = merger(merges);
  const idsOfWord = cached((found) => {
    if (SPECIAL_TOKENS.includes(found)) return [start_id + SPECIAL_TOKENS.indexOf(found)];
    const symbols = spelled(found);
    symbols[symbols.length - 1] += END_OF_WORD;
    return merge(symbols).map((token) => /** @type {number} */ (ids.get(token)));
  });
  return {
    encode: (text) => (text.match(word) ?? []).flatMap(idsOfWord),
    decode: (places) => textOf(places.flatMap((id) => bytes(tokens[id]))).replace(/ $/, ""),
    textIds: (places) => textIds(places, start_id, end_id),
  };
}

/** @param {string} token */
function bytes(token) {
  if (!token.endsWith(END_OF_WORD)) return unspelled(token);
  return [...unspelled(token.slice(0, -END_OF_WORD.length)), BLANK];
}

/**
 * What is between the first start and the next end, since padding is also the id of "!".
 *
 * @param {number[]} ids
 * @param {number} startId
 * @param {number} endId
 */
function textIds(ids, startId, endId) {
  const begun = ids.slice(ids.indexOf(startId) + 1);
  const end = begun.indexOf(endId);
  return (end < 0 ? begun : begun.slice(0, end)).filter((id) => id !== startId);
}

/**
 * @param {string} letter
 * @param {string} digit
 */
function wordPattern(letter, digit) {
  const whole = [...SPECIAL_TOKENS, ...CONTRACTIONS].map(anyCase).join("|");
  return new RegExp(`${whole}|[${letter}]+|[${digit}]|[^${SPACE}${letter}${digit}]+`, "gu");
}

/**
 * @param {string} text ASCII, lower case.
 * @returns {string} A regular expression for it in upper and lower case; U+017F is an "s".
 */
function anyCase(text) {
  return text
    .replaceAll("|", "\\|")
    .replace(/[a-z]/g, (letter) => `[${letter}${letter.toUpperCase()}]`)
    .replaceAll("[sS]", "[sS\\u017f]");
}
