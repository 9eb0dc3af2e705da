/** Shows the examples of a split, in the order in which the model receives them. */

import { canvasOf, picturesOf } from "./pixels.js";

const SHOWN = 12;

/**
 * @typedef {import("../mmdata.d.ts").Data} Data
 * @typedef {import("../mmdata.d.ts").Batch} Batch
 */

/**
 * What a batch holds beside the pictures, as text: a caption or a class, and further columns.
 *
 * @param {Data} data
 * @param {Batch} batch
 * @returns {string[]} One text for each picture.
 */
export function textsOf(data, { captions, labels, columns, imageShape }) {
  const wanted = data.manifest.settings.task.columns;
  return Array.from({ length: imageShape[0] }, (_, i) => {
    const label = labels && (data.classNames[labels[i]] ?? `class ${labels[i]}`);
    const numbers = wanted.map((name) => `${name}: ${columns[name][i]}`);
    return [captions?.[i], label, ...numbers].filter(Boolean).join(", ");
  });
}

/**
 * The token ids of a batch as text: cleaned, cut, without the words that the vocabulary lacks.
 *
 * @param {Data} data
 * @param {Batch} batch
 * @returns {string[]} One text for each picture; none without token ids.
 */
function tokenTexts({ tokenizer }, { tokenIds, tokenShape: [count, length] = [0, 0] }) {
  if (!tokenizer || !tokenIds) return [];
  return Array.from({ length: count }, (_, i) =>
    tokenizer.decode(tokenIds.subarray(i * length, (i + 1) * length)),
  );
}

/**
 * A list item with a picture and its text.
 *
 * @param {Data} data
 * @param {Uint8Array} pixels
 * @param {string} text
 * @param {string} [tokens] The text's tokens.
 */
export function card(data, pixels, text, tokens) {
  const item = document.createElement("li");
  const caption = document.createElement("p");
  caption.textContent = text;
  item.append(canvasOf(pixels, data.imageSize, text || "a picture without text"), caption);
  if (tokens !== undefined) {
    const small = document.createElement("small");
    small.textContent = tokens;
    item.append(small);
  }
  return item;
}

/** Pages of a split. */
export class Gallery {
  #data;
  #elements;
  #page = 0;

  /**
   * @param {Data} data
   * @param {Record<"split" | "previous" | "next" | "page" | "gallery", any>} elements
   * @param {(error: unknown) => void} onError
   */
  constructor(data, elements, onError) {
    this.#data = data;
    this.#elements = elements;
    const { split, previous, next } = elements;
    const label = (/** @type {string} */ name) => `${name} (${data.rows(name)} images)`;
    split.append(...data.splits.map((name) => new Option(label(name), name)));
    if (data.splits.includes("train")) split.value = "train";
    const show = (/** @type {number} */ page) => this.show(page).catch(onError);
    split.onchange = () => show(0);
    previous.onclick = () => show(this.#page - 1);
    next.onclick = () => show(this.#page + 1);
  }

  /** @param {number} page */
  async show(page) {
    const data = this.#data;
    const { split: select, previous, next, page: status, gallery } = this.#elements;
    const split = select.value;
    const batchSize = Math.min(SHOWN, data.size(split));
    const pages = data.stepsPerEpoch({ split, batchSize });
    this.#page = page;
    previous.disabled = page === 0;
    next.disabled = page === pages - 1;
    const batches = data.batches({ split, batchSize, at: page });
    const { value: batch } = await batches.next();
    await batches.return();
    if (!batch || page !== this.#page || split !== select.value) return; // another page is wanted now
    const [texts, tokens] = [textsOf(data, batch), tokenTexts(data, batch)];
    const cards = picturesOf(batch).map((pixels, i) => card(data, pixels, texts[i], tokens[i]));
    gallery.replaceChildren(...cards);
    const first = page * batchSize;
    status.textContent = `${first + 1} to ${first + texts.length} of ${data.size(split)}`;
  }
}
