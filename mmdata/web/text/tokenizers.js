/**
 * Tokenizers: text -> ids, and ids -> text, as in Python.
 *
 * One module for each family; only that of the data is loaded.
 */

import { wellFormed } from "./characters.js";
import { cleaner, templated } from "./clean.js";
import { pack } from "./pack.js";

/** @typedef {Record<string, any>} TokenizerJson The content of the manifest's tokenizer file. */

/**
 * @typedef {object} Encoding What a family of tokenizers implements.
 * @property {(text: string) => ArrayLike<number>} encode Well-formed text -> ids.
 * @property {(ids: number[]) => string} decode Ids of text -> text.
 * @property {(ids: number[]) => number[]} [textIds] Leaves out special tokens.
 */

/** @type {Record<string, () => Promise<{ create: (json: TokenizerJson) => Encoding }>>} */
const FAMILIES = {
  Byte: () => import("./byte_tokenizer.js"),
  BytePair: () => import("./byte_pair.js"),
  Character: () => import("./character_tokenizer.js"),
  ClipBpe: () => import("./clip_bpe.js"),
  SentencePiece: () => import("./sentence_piece.js"),
  Word: () => import("./word_tokenizer.js"),
  WordPiece: () => import("./word_piece.js"),
};

/**
 * Makes the tokenizer of a data set.
 *
 * @param {TokenizerJson} json The content of the file that `settings.text.tokenizer` names.
 * @param {import("../mmdata.d.ts").TextSettings} text `settings.text` of the manifest.
 * @returns {Promise<Tokenizer>}
 * @throws {Error} The type of tokenizer is unknown.
 */
export async function loadTokenizer(json, text) {
  const load = Object.hasOwn(FAMILIES, json.type) ? FAMILIES[json.type] : undefined;
  if (!load) {
    throw new Error(
      `The tokenizer's type must be one of ${Object.keys(FAMILIES).join(", ")}; got ` +
        `${JSON.stringify(json.type)}. Use the mmdata.js that the export wrote beside the data.`,
    );
  }
  const { create } = await load();
  return new Tokenizer(json, text, create(json));
}

/** Text -> token ids, as in training. */
class Tokenizer {
  #json;
  #text;
  #encoding;
  #prepared;

  /**
   * @param {TokenizerJson} json
   * @param {import("../mmdata.d.ts").TextSettings} text
   * @param {Encoding} encoding
   */
  constructor(json, text, encoding) {
    this.#json = json;
    this.#text = text;
    this.#encoding = encoding;
    const template = templated(text.template);
    const clean = json.cleaning ? cleaner(json.cleaning) : wellFormed;
    this.#prepared = (/** @type {string} */ caption) => clean(template(caption));
  }

  /** The type in Python, such as "WordPiece". */
  get type() {
    return /** @type {string} */ (this.#json.type);
  }

  /** How many ids there are: the size of a model's table of tokens. */
  get vocabularySize() {
    return /** @type {number} */ (this.#json.vocabulary_size);
  }

  /**
   * @param {string} text A caption as people type it: the template and the cleaning come first.
   * @returns {Int32Array} Its ids, without special tokens, of any length.
   * @throws {TypeError} It is no text.
   */
  encode(text) {
    if (typeof text !== "string") {
      throw new TypeError(`tokenizer.encode(text) takes a text; got ${typeof text}.`);
    }
    return Int32Array.from(this.#encoding.encode(this.#prepared(text)));
  }

  /**
   * @param {ArrayLike<number>} ids Of one sequence.
   * @returns {string} Its text. Leaves out special tokens, except the unknown one.
   * @throws {RangeError} An id is not in the vocabulary.
   */
  decode(ids) {
    const numbers = Array.from(ids);
    const size = this.#json.vocabulary_size;
    const wrong = numbers.find((id) => !(Number.isInteger(id) && id >= 0 && id < size));
    if (wrong !== undefined) {
      throw new RangeError(`tokenizer.decode(ids) takes ids from 0 to ${size - 1}; got ${wrong}.`);
    }
    const { textIds, decode } = this.#encoding;
    return decode(textIds ? textIds(numbers) : this.#withoutSpecial(numbers));
  }

  /** @param {number[]} ids */
  #withoutSpecial(ids) {
    const special = new Set([this.#json.pad_id, this.#json.start_id, this.#json.end_id]);
    return ids.filter((id) => !special.has(id));
  }

  /**
   * @param {ArrayLike<number>} ids Without special tokens.
   * @returns {{ tokenIds: Int32Array, paddingMask: Int32Array, responseMask: Int32Array }} With
   *   start, prompt, end and padding, as in a batch of one.
   */
  pack(ids) {
    const { tokenIds, paddingMask, responseMask } = pack([ids], this.#text);
    return { tokenIds, paddingMask, responseMask };
  }
}
