/** Pieces of a SentencePiece model, and a trie of them. */

/**
 * @typedef {object} Piece
 * @property {string} text
 * @property {number} id
 * @property {number} score
 * @property {boolean} isUserDefined
 * @property {boolean} isUnused
 */

/** @typedef {{ id: number, next: Map<number, Node> }} Node */

/** Types of pieces. */
export const TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 };

const NONE = -1;

/** Finds all pieces that begin at a place. */
export class PieceTrie {
  /** @type {Node} */
  #root = { id: NONE, next: new Map() };

  /** @param {Iterable<[string, number]>} pieces Texts and their ids. */
  constructor(pieces) {
    for (const [piece, id] of pieces) {
      let node = this.#root;
      for (let i = 0; i < piece.length; i++) {
        const unit = piece.charCodeAt(i);
        let child = node.next.get(unit);
        if (!child) {
          child = { id: NONE, next: new Map() };
          node.next.set(unit, child);
        }
        node = child;
      }
      node.id = id;
    }
  }

  /**
   * @param {string} text
   * @param {number} start
   * @param {(id: number, end: number) => void} visit Gets each piece at `start`, the shortest first.
   */
  each(text, start, visit) {
    /** @type {Node | undefined} */
    let node = this.#root;
    for (let i = start; i < text.length; i++) {
      node = node.next.get(text.charCodeAt(i));
      if (!node) return;
      if (node.id !== NONE) visit(node.id, i + 1);
    }
  }

  /**
   * @param {string} text
   * @param {number} start
   * @returns {number} The end of the longest piece at `start`; `start` if there is none.
   */
  longest(text, start) {
    let longest = start;
    this.each(text, start, (_, end) => (longest = end));
    return longest;
  }
}
