/** SentencePiece models, as Python's `SentencePiece`. */

import { bytesOf } from "./characters.js";
import { PieceTrie, TYPE } from "./pieces.js";
import { bytePairs } from "./sentence_piece_bpe.js";
import { decoder } from "./sentence_piece_decoder.js";
import { normalizer } from "./sentence_piece_normalizer.js";
import { unigram } from "./unigram.js";

/**
 * @param {import("./tokenizers.js").TokenizerJson} json
 * @returns {import("./tokenizers.js").Encoding}
 */
export function create(json) {
  const pieces = piecesOf(json);
  const userDefined = new PieceTrie(
    [...pieces.values()].filter((piece) => piece.isUserDefined).map(({ text, id }) => [text, id]),
  );
  const normalize = normalizer(json.normalizer, userDefined);
  const split =
    json.model === "unigram"
      ? unigram(pieces, json.unknown_id)
      : bytePairs(pieces, json.unknown_id, userDefined);
  const unknown = json.byte_fallback ? byteIds(json) : null;
  return {
    encode: (text) => withUnknown(split(normalize(text)), json.unknown_id, unknown),
    decode: decoder(json),
  };
}

/**
 * @param {import("./tokenizers.js").TokenizerJson} json
 * @returns {Map<string, import("./pieces.js").Piece>} The pieces that text can become.
 */
function piecesOf({ pieces, scores, types, never_made }) {
  const ofText = [TYPE.normal, TYPE.userDefined, TYPE.unused];
  const hidden = new Set(never_made);
  /** @type {Map<string, import("./pieces.js").Piece>} */
  const found = new Map();
  pieces.forEach((/** @type {string} */ text, /** @type {number} */ id) => {
    if (hidden.has(id) || !ofText.includes(types[id])) return;
    const [isUserDefined, isUnused] = [TYPE.userDefined, TYPE.unused].map((t) => types[id] === t);
    found.set(text, { text, id, score: Math.fround(scores[id]), isUserDefined, isUnused });
  });
  return found;
}

/**
 * @param {import("./tokenizers.js").TokenizerJson} json
 * @returns {(text: string) => number[]} The ids of a text's bytes.
 */
function byteIds({ pieces, types }) {
  const ids = new Map(
    pieces.flatMap((/** @type {string} */ piece, /** @type {number} */ id) =>
      types[id] === TYPE.byte ? [[parseInt(piece.slice(1, -1), 16), id]] : [],
    ),
  );
  return (text) => Array.from(bytesOf(text), (byte) => ids.get(byte));
}

/**
 * @param {[string, number][]} found Pieces and their ids.
 * @param {number} unknownId
 * @param {((text: string) => number[]) | null} bytes Ids for unknown text; null makes each run of
 *   it one unknown id.
 * @returns {number[]}
 */
function withUnknown(found, unknownId, bytes) {
  return found.flatMap(([text, id], place) => {
    if (id !== unknownId) return [id];
    if (bytes) return bytes(text);
    return found[place - 1]?.[1] === unknownId ? [] : [id];
  });
}
