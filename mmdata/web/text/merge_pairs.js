/** Byte-pair encoding: joins neighbours, the lowest rank first. */

import { Heap } from "./heap.js";

/** @typedef {{ rank: number, left: number, right: number, joined: string }} Pair */

/**
 * Joins neighbours until no two can be joined; of equal ranks, the leftmost first.
 *
 * @param {string[]} symbols
 * @param {(left: string, right: string) => number | undefined} rankOf The lowest is joined first;
 *   undefined if the two are not joined.
 * @param {(place: number) => boolean} [isFixed] Whether the symbol at a place is never joined.
 * @returns {string[]} The symbols that are left.
 */
export function mergePairs(symbols, rankOf, isFixed = () => false) {
  const found = symbols.slice();
  const next = found.map((_, place) => place + 1);
  const previous = found.map((_, place) => place - 1);
  /** @type {Heap<Pair>} */
  const pairs = new Heap((one, other) => one.rank - other.rank || one.left - other.left);
  const add = (/** @type {number} */ left, /** @type {number} */ right) => {
    if (left < 0 || right >= found.length || isFixed(left) || isFixed(right)) return;
    const rank = rankOf(found[left], found[right]);
    if (rank !== undefined) pairs.push({ rank, left, right, joined: found[left] + found[right] });
  };
  for (let place = 1; place < found.length; place++) add(place - 1, place);
  for (let pair = pairs.pop(); pair; pair = pairs.pop()) {
    const { left, right, joined } = pair;
    const isThere = found[left] !== "" && found[right] !== "";
    if (!isThere || found[left].length + found[right].length !== joined.length) continue;
    found[left] = joined;
    found[right] = "";
    next[left] = next[right];
    if (next[right] < found.length) previous[next[right]] = left;
    add(previous[left], left);
    add(left, next[left]);
  }
  return found.filter((symbol) => symbol !== "");
}
