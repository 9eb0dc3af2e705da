/** What a SentencePiece model does to a text before splitting it. Source: `src/normalizer.cc`. */

import { bytesOf, endOfCharacter } from "./characters.js";
import { Charsmap } from "./charsmap.js";

/** How SentencePiece writes a space. */
export const MARK = "\u2581";

/**
 * @typedef {object} NormalizerSettings
 * @property {string} charsmap In base64.
 * @property {boolean} add_dummy_prefix
 * @property {boolean} remove_extra_whitespaces
 * @property {boolean} escape_whitespaces
 * @property {boolean} whitespace_as_suffix
 */

/**
 * @param {NormalizerSettings} settings
 * @param {import("./pieces.js").PieceTrie} userDefined Pieces that stay as they are.
 * @returns {(text: string) => string}
 */
export function normalizer(settings, userDefined) {
  const replace = replacer(new Charsmap(settings.charsmap), userDefined);
  const tidies = settings.remove_extra_whitespaces;
  const space = settings.escape_whitespaces ? MARK : " ";
  const added = settings.add_dummy_prefix ? space : "";
  const [before, after] = settings.whitespace_as_suffix ? ["", added] : [added, ""];
  return (text) => {
    const parts = replace(text);
    const first = tidies ? parts.findIndex((part) => part !== " ") : 0;
    if (first < 0 || parts.length === 0) return "";
    let found = "";
    let follows = tidies; // whether spaces at the beginning of a part are left out
    for (const part of parts.slice(first)) {
      const kept = follows ? part.replace(/^ +/, "") : part;
      if (kept !== "") follows = tidies && kept.endsWith(" ");
      found += kept;
    }
    found = before + (settings.escape_whitespaces ? found.replaceAll(" ", MARK) : found);
    while (tidies && found.endsWith(space)) found = found.slice(0, -space.length);
    return found + after;
  };
}

/**
 * @param {Charsmap} charsmap
 * @param {import("./pieces.js").PieceTrie} userDefined
 * @returns {(text: string) => string[]} Each character, or what it is replaced by.
 */
function replacer(charsmap, userDefined) {
  return (text) => {
    const bytes = bytesOf(text);
    const parts = [];
    for (let i = 0, byte = 0; i < text.length; ) {
      let end = userDefined.longest(text, i);
      const rule = end > i ? null : charsmap.at(bytes, byte);
      if (rule) end = endOf(text, i, rule.length);
      else if (end === i) end = endOfCharacter(text, i);
      const whole = text.slice(i, end);
      parts.push(rule ? rule.text : whole);
      byte += rule ? rule.length : bytesOf(whole).length;
      i = end;
    }
    return parts;
  };
}

/**
 * @param {string} text
 * @param {number} start
 * @param {number} length Of some characters, in bytes of UTF-8.
 * @returns {number} Where they end.
 */
function endOf(text, start, length) {
  let end = start;
  for (let left = length; left > 0; ) {
    const code = /** @type {number} */ (text.codePointAt(end));
    left -= code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    end = endOfCharacter(text, end);
  }
  return end;
}
