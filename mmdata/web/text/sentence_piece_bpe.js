/** SentencePiece's byte-pair model. Source: sentencepiece 0.1.96, `src/bpe_model.cc`. */

import { endOfCharacter } from "./characters.js";
import { mergePairs } from "./merge_pairs.js";

/** @typedef {import("./pieces.js").Piece} Piece */

/**
 * @param {Map<string, Piece>} pieces The pieces that text can become.
 * @param {number} unknownId
 * @param {import("./pieces.js").PieceTrie} userDefined
 * @returns {(text: string) => [string, number][]} Pieces of a text, and their ids.
 */
export function bytePairs(pieces, unknownId, userDefined) {
  return (text) => {
    const { symbols, fixed } = symbolsOf(text, userDefined);
    /** @type {Map<string, [string, string]>} */
    const parts = new Map(); // of unused pieces, which are only steps on the way to longer ones
    const rankOf = (/** @type {string} */ left, /** @type {string} */ right) => {
      const piece = pieces.get(left + right);
      if (piece?.isUnused) parts.set(piece.text, [left, right]);
      return piece && -piece.score;
    };
    /** @type {(symbol: string) => [string, number][]} */
    const used = (symbol) => {
      const piece = pieces.get(symbol);
      const halves = piece?.isUnused ? parts.get(symbol) : undefined;
      return halves ? halves.flatMap(used) : [[symbol, piece?.id ?? unknownId]];
    };
    return mergePairs(symbols, rankOf, (place) => fixed.has(place)).flatMap(used);
  };
}

/**
 * @param {string} text
 * @param {import("./pieces.js").PieceTrie} userDefined
 * @returns {{ symbols: string[], fixed: Set<number> }} Characters and user-defined pieces, and the
 *   places of the latter.
 */
function symbolsOf(text, userDefined) {
  const symbols = [];
  const fixed = new Set();
  for (let start = 0, end; start < text.length; start = end) {
    end = userDefined.longest(text, start);
    if (end > start) fixed.add(symbols.length);
    else end = endOfCharacter(text, start);
    symbols.push(text.slice(start, end));
  }
  return { symbols, fixed };
}
