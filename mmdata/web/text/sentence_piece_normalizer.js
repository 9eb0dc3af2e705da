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
      const [start, fixedEnd] = [i, userDefined.longest(text, i)];
      const rule = fixedEnd > i ? null : charsmap.at(bytes, byte);
      const ruleEnd = byte + (rule ? rule.length : 0);
      do {
        const code = /** @type {number} */ (text.codePointAt(i));
        byte += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        i = endOfCharacter(text, i);
      } while (i < fixedEnd || byte < ruleEnd);
      parts.push(rule ? rule.text : text.slice(start, i));
    }
    return parts;
  };
}
