/**
 * SentencePiece's unigram model: the pieces of a text whose scores have the largest sum.
 *
 * Sums are of 32 bits where the library's are, so that equal ones are equal here. Source: Kudo 2018,
 * "Subword Regularization"; sentencepiece 0.1.96, `src/unigram_model.cc`.
 */

import { bytesOf, endOfCharacter } from "./characters.js";
import { PieceTrie } from "./pieces.js";

/** @typedef {import("./pieces.js").Piece} Piece */

const PENALTY = 10; // of an unknown character, below the smallest score
const SMALLEST = 2 ** -126; // the library's first guess of the largest score
const NONE = -1;

/**
 * @param {Map<string, Piece>} pieces The pieces that text can become.
 * @param {number} unknownId
 * @returns {(text: string) => [string, number][]} Pieces of a text, and their ids.
 */
export function unigram(pieces, unknownId) {
  const usable = [...pieces.values()].filter((piece) => !piece.isUnused);
  const trie = new PieceTrie(usable.map((piece) => [piece.text, piece.id]));
  const scores = scoresOf(usable);
  const unknownScore = Math.fround(scores.least - PENALTY);
  return (text) => {
    const best = new Float32Array(text.length + 1);
    const starts = new Int32Array(text.length + 1).fill(NONE);
    const ids = new Int32Array(text.length + 1);
    for (let start = 0, end; start < text.length; start = end) {
      end = endOfCharacter(text, start);
      const before = best[start];
      let isKnown = false;
      const offer = (
        /** @type {number} */ id,
        /** @type {number} */ to,
        /** @type {number} */ sum,
      ) => {
        if (starts[to] !== NONE && !(sum > best[to])) return;
        best[to] = sum;
        starts[to] = start;
        ids[to] = id;
      };
      trie.each(text, start, (id, to) => {
        offer(id, to, scores.of(id) + before);
        isKnown ||= to === end;
      });
      if (!isKnown) offer(unknownId, end, Math.fround(unknownScore + before));
    }
    return path(text, starts, ids);
  };
}

/**
 * @param {Piece[]} pieces
 * @returns {{ least: number, of: (id: number) => number }} The smallest score, and that of an id.
 */
function scoresOf(pieces) {
  const normal = pieces.filter((piece) => !piece.isUserDefined).map((piece) => piece.score);
  const least = normal.reduce((one, other) => Math.min(one, other), Infinity);
  const most = normal.reduce((one, other) => Math.max(one, other), SMALLEST);
  const scores = new Map(
    pieces.map(({ id, text, score, isUserDefined }) => [
      id,
      isUserDefined ? Math.fround(bytesOf(text).length * most) - 0.1 : score,
    ]),
  );
  return { least, of: (id) => /** @type {number} */ (scores.get(id)) };
}

/**
 * @param {string} text
 * @param {Int32Array} starts Where the best piece that ends at a place starts.
 * @param {Int32Array} ids The best piece that ends at a place.
 * @returns {[string, number][]}
 */
function path(text, starts, ids) {
  /** @type {[string, number][]} */
  const found = [];
  for (let end = text.length; end > 0; end = starts[end]) {
    found.push([text.slice(starts[end], end), ids[end]]);
  }
  return found.reverse();
}
