/** What tokenizers with a vocabulary of texts share. */

import { ASCII_SPACE, classOf } from "./characters.js";

const MOST_CACHED = 50_000;

/**
 * Remembers results: most words occur many times.
 *
 * @template T
 * @param {(word: string) => T} compute
 * @returns {(word: string) => T}
 */
export function cached(compute) {
  /** @type {Map<string, T>} */
  const found = new Map();
  return (word) => {
    let result = found.get(word);
    if (result === undefined) {
      if (found.size >= MOST_CACHED) found.clear();
      result = compute(word);
      found.set(word, result);
    }
    return result;
  };
}

/**
 * @param {string[]} vocabulary
 * @param {number} first The first id that text can become.
 * @returns {Map<string, number>} The ids of tokens.
 */
export function idsOf(vocabulary, first = 0) {
  return new Map(vocabulary.slice(first).map((token, place) => [token, first + place]));
}

/**
 * @param {string} text
 * @returns {string[]} What is between white space of ASCII.
 */
export function split(text) {
  return text.split(ASCII_SPACE).filter((part) => part !== "");
}

/**
 * @param {import("./characters.js").Ranges} letters Letters and digits.
 * @returns {(words: string[]) => string} Joins words with spaces, without one before closing
 *   punctuation.
 */
export function wordJoiner(letters) {
  const letter = `[${classOf(letters)}]`;
  const inner = new RegExp(`(${letter}) (['\\u2019-]) (${letter})`, "gu");
  return (words) => {
    const text = words.join(" ").replace(/ ([.,!?;:%)\]}\u2026])/g, "$1");
    // Matches do not overlap: "rock - n - roll" needs two passes.
    return text
      .replace(/([([{]) /g, "$1")
      .replace(inner, "$1$2$3")
      .replace(inner, "$1$2$3");
  };
}
