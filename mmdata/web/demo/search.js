/** Searches held-out pictures and captions by their vectors. */

import { normalized } from "./matcher.js";
import { picturesOf } from "./pixels.js";

/**
 * @typedef {ReturnType<typeof import("./matcher.js").makeMatcher>} Matcher
 * @typedef {import("../mmdata.d.ts").Batch} Batch
 */

export class Search {
  #tf;
  #tokenizer;
  #raw;
  #normalized;

  /**
   * @param {any} tf
   * @param {import("../mmdata.d.ts").Tokenizer} tokenizer
   * @param {{ raw: Batch, normalized: Batch }} examples Those that are searched.
   */
  constructor(tf, tokenizer, { raw, normalized }) {
    this.#tf = tf;
    this.#tokenizer = tokenizer;
    this.#raw = raw;
    this.#normalized = normalized;
  }

  /**
   * The pictures nearest to a text.
   *
   * @param {Matcher} matcher
   * @param {string} query
   * @param {number} count
   * @returns {Promise<{ pixels: Uint8Array, caption: string }[]>}
   */
  async pictures(matcher, query, count) {
    const [raw, ready] = [this.#raw, this.#normalized];
    const { tokenIds, paddingMask } = this.#tokenizer.pack(this.#tokenizer.encode(query));
    const order = await this.#nearest((tf) => [
      matcher.textVectors(
        tf.tensor(tokenIds, [1, tokenIds.length], "int32"),
        tf.tensor(paddingMask, [1, tokenIds.length], "float32"),
      ),
      matcher.pictureVectors(tf.tensor(ready.images, ready.imageShape)),
    ]);
    const pictures = picturesOf(raw);
    return firstOfEach(order, (place) => raw.rows[place])
      .slice(0, count)
      .map((place) => ({ pixels: pictures[place], caption: raw.captions?.[place] ?? "" }));
  }

  /**
   * The captions nearest to a picture.
   *
   * @param {Matcher} matcher
   * @param {any} picture A tensor, [1, h, w, c], normalized.
   * @param {number} count
   * @returns {Promise<string[]>}
   */
  async captions(matcher, picture, count) {
    const raw = this.#raw;
    const order = await this.#nearest((tf) => [
      matcher.pictureVectors(picture),
      matcher.textVectors(
        tf.tensor(raw.tokenIds, raw.tokenShape, "int32"),
        tf.tensor(raw.paddingMask, raw.tokenShape, "float32"),
      ),
    ]);
    const captions = order.map((place) => raw.captions?.[place] ?? "");
    return firstOfEach(captions, (caption) => caption).slice(0, count);
  }

  /**
   * @param {(tf: any) => [any, any]} vectors One vector [1, n], and those to search, [b, n].
   * @returns {Promise<number[]>} Places in b, the nearest first.
   */
  async #nearest(vectors) {
    const tf = this.#tf;
    const scores = tf.tidy(() => {
      const [query, others] = vectors(tf).map(normalized);
      return others.matMul(query, false, true).squeeze([1]);
    });
    const values = await scores.data();
    scores.dispose();
    return [...values.keys()].sort((a, b) => values[b] - values[a]);
  }
}

/**
 * @template T
 * @param {T[]} values
 * @param {(value: T) => unknown} key
 */
function firstOfEach(values, key) {
  const seen = new Set();
  return values.filter((value) => !seen.has(key(value)) && seen.add(key(value)));
}
