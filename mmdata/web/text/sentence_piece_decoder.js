/** SentencePiece's ids -> text. Source: sentencepiece 0.1.96, `src/sentencepiece_processor.cc`. */

import { MARK } from "./sentence_piece_normalizer.js";
import { TYPE } from "./pieces.js";

const NUL = "\0";

/**
 * @param {import("./tokenizers.js").TokenizerJson} json
 * @returns {(ids: number[]) => string}
 */
export function decoder({ pieces, types, unknown_text, normalizer }) {
  const adds = normalizer.add_dummy_prefix;
  const tidies = normalizer.remove_extra_whitespaces;
  const typeOf = typesByText(pieces, types);
  const nul = pieces.indexOf(NUL);
  const nulByte = pieces.indexOf("<0x00>");
  const textOf = (/** @type {number} */ id, /** @type {boolean} */ isFirst) => {
    if (typeOf(id) === TYPE.control) return "";
    if (typeOf(id) === TYPE.unknown) return unknown_text;
    const starts = isFirst && tidies && pieces[id].startsWith(MARK);
    return pieces[id].slice(starts ? MARK.length : 0).replaceAll(MARK, " ");
  };
  return (ids) => {
    let text = "";
    /** @type {number[]} */
    let bytes = [];
    const flush = () => {
      text += decoded(bytes);
      bytes = [];
    };
    for (const id of ids.map((id) => (id === nul && nulByte >= 0 ? nulByte : id))) {
      if (typeOf(id) === TYPE.byte) {
        bytes.push(parseInt(pieces[id].slice(1, -1), 16));
      } else {
        flush();
        text += textOf(id, text === "");
      }
    }
    flush();
    const first = ids.find((id) => types[id] !== TYPE.control);
    const addedOne = adds && !tidies && first !== undefined && pieces[first].startsWith(MARK);
    return addedOne ? text.replace(/^ /, "") : text;
  };
}

/**
 * @param {string[]} pieces
 * @param {number[]} types
 * @returns {(id: number) => number} The type of a piece. A piece of text with the same text as a
 *   special one counts as special.
 */
function typesByText(pieces, types) {
  const ofText = [TYPE.normal, TYPE.userDefined, TYPE.unused];
  const special = new Map(
    pieces.flatMap((text, id) => (ofText.includes(types[id]) ? [] : [[text, types[id]]])),
  );
  return (id) => special.get(pieces[id]) ?? types[id];
}

/**
 * @param {number[]} bytes
 * @returns {string} With U+FFFD for each byte that is no part of valid UTF-8.
 */
function decoded(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; ) {
    const { length, code } = characterAt(bytes, i);
    text += String.fromCodePoint(code);
    i += length;
  }
  return text;
}

/**
 * @param {number[]} bytes
 * @param {number} start
 * @returns {{ length: number, code: number }}
 */
function characterAt(bytes, start) {
  const [first, ...others] = bytes.slice(start, start + 4);
  if (first < 0x80) return { length: 1, code: first };
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  const isLead = first >= 0xc0 && first < 0xf8 && others.length >= length - 1;
  const trail = others.slice(0, length - 1);
  if (isLead && trail.every((byte) => byte >> 6 === 2)) {
    const code = trail.reduce((sum, byte) => sum * 64 + (byte & 63), first & (0x7f >> length));
    const least = [0, 0, 0x80, 0x800, 0x10000][length];
    const isCharacter = code < 0xd800 || (code > 0xdfff && code < 0x110000);
    if (code >= least && isCharacter) return { length, code };
  }
  return { length: 1, code: 0xfffd };
}
