/** Asks the model about a picture that the visitor drops, chooses or picks, or about a text. */

import { card, textsOf } from "./gallery.js";
import { firstExamples, splitToTry } from "./held_out.js";
import { canvasOf, picturesOf } from "./pixels.js";
import { Search } from "./search.js";

const CHOICES = 12;
const FOUND = 6;

/**
 * @typedef {import("../mmdata.d.ts").Data} Data
 * @typedef {import("../mmdata.d.ts").Batch} Batch
 * @typedef {import("./training.js").Training} Training
 * @typedef {Record<"search" | "query" | "drop" | "picture" | "choices" | "choices-title" | "result", any>}
 *   Elements
 */

export class Trial {
  #tf;
  #data;
  #training;
  #elements;
  #guard;
  /** @type {Search | null} */
  #search = null;
  #asked = 0;

  /**
   * @param {any} tf
   * @param {Data} data
   * @param {Training} training
   * @param {Elements} elements
   * @param {(work: () => Promise<void>) => Promise<void>} guard Runs work, and shows its errors.
   */
  constructor(tf, data, training, elements, guard) {
    this.#tf = tf;
    this.#data = data;
    this.#training = training;
    this.#elements = elements;
    this.#guard = guard;
  }

  /** Shows some pictures, and waits for the visitor. */
  async start() {
    this.#takeFiles();
    const { search, query } = this.#elements;
    const split = splitToTry(this.#data);
    const examples = await firstExamples(this.#data, split);
    this.#elements["choices-title"].textContent =
      split === "train"
        ? "Or take a picture that the model learns from:"
        : `Or take a picture that the model does not learn from (split "${split}"):`;
    this.#showChoices(examples);
    const { tokenizer, manifest } = this.#data;
    if (manifest.settings.task.name !== "retrieval" || !tokenizer) return;
    this.#search = new Search(this.#tf, tokenizer, examples);
    search.hidden = false;
    search.onsubmit = (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      this.#guard(() => this.#showFound(query.value));
    };
  }

  #takeFiles() {
    const { picture, drop } = this.#elements;
    picture.onchange = () => picture.files.length && this.#askFile(picture.files[0]);
    drop.ondragover = (/** @type {DragEvent} */ event) => {
      event.preventDefault();
      drop.classList.add("over");
    };
    drop.ondragleave = () => drop.classList.remove("over");
    drop.ondrop = (/** @type {DragEvent} */ event) => {
      event.preventDefault();
      drop.classList.remove("over");
      const file = event.dataTransfer?.files[0];
      if (file) this.#askFile(file);
    };
  }

  /**
   * A button for some pictures, evenly spread over the examples.
   *
   * @param {{ raw: Batch, normalized: Batch }} examples
   */
  #showChoices({ raw, normalized }) {
    const data = this.#data;
    const [texts, pictures, ready] = [textsOf(data, raw), picturesOf(raw), picturesOf(normalized)];
    const rows = [...new Set(raw.rows)];
    const count = Math.min(CHOICES, rows.length);
    for (let number = 0; number < count; number++) {
      const row = rows[Math.floor((number * rows.length) / count)];
      const places = [...raw.rows.keys()].filter((place) => raw.rows[place] === row);
      const truth = places.map((place) => texts[place]);
      const [first] = places;
      const button = document.createElement("button");
      button.type = "button";
      button.append(canvasOf(pictures[first], data.imageSize, `picture ${number + 1}`));
      button.onclick = () => {
        this.#press(button);
        this.#guard(() => this.#ask(pictures[first], ready[first], truth));
      };
      const item = document.createElement("li");
      item.append(button);
      this.#elements.choices.append(item);
    }
  }

  /** @param {HTMLButtonElement | null} wanted The button of the picture that is asked about. */
  #press(wanted) {
    for (const button of this.#elements.choices.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button === wanted));
    }
  }

  /** @param {Blob} file */
  #askFile(file) {
    this.#press(null);
    return this.#guard(async () => {
      const pixels = await this.#data.preprocess(file);
      const ready = await this.#data.preprocess(file, { normalize: true });
      await this.#ask(/** @type {Uint8Array} */ (pixels), ready, []);
    });
  }

  /**
   * @param {Uint8Array} pixels [h, w, c]
   * @param {Uint8Array | Float32Array} ready The same, normalized.
   * @param {string[]} truth The texts in the data; none if the picture is not there.
   */
  async #ask(pixels, ready, truth) {
    const asked = ++this.#asked;
    const data = this.#data;
    const tensor = this.#tf.tensor(ready, [1, ...data.imageSize, data.channels], "float32");
    const answers = await this.#answers(tensor);
    tensor.dispose();
    if (asked !== this.#asked) return; // another picture came in
    const list = document.createElement("dl");
    list.append(...entry(this.#title(), answers, "answer"));
    if (truth.length) list.append(...entry("In the data", truth));
    const shown = document.createElement("div");
    shown.className = "result";
    shown.append(canvasOf(pixels, data.imageSize, "the picture as the model receives it"), list);
    this.#show(shown);
  }

  #title() {
    const titles = { captioning: "Caption", classification: "Class" };
    const name = this.#data.manifest.settings.task.name;
    return titles[/** @type {keyof typeof titles} */ (name)] ?? "Nearest captions";
  }

  /**
   * @param {any} picture [1, h, w, c]
   * @returns {Promise<string[]>}
   */
  async #answers(picture) {
    const task = /** @type {any} */ (this.#training.task);
    if (task.caption) return task.caption(picture);
    if (!task.classify) return (await this.#search?.captions(task, picture, 3)) ?? [];
    const [shares] = await task.classify(picture);
    return [...shares.keys()]
      .sort((a, b) => shares[b] - shares[a])
      .slice(0, 3)
      .map((i) => `${this.#data.classNames[i] ?? `class ${i}`}: ${Math.round(100 * shares[i])} %`);
  }

  /** @param {string} query */
  async #showFound(query) {
    const asked = ++this.#asked;
    this.#press(null);
    const task = /** @type {any} */ (this.#training.task);
    const found = (await this.#search?.pictures(task, query, FOUND)) ?? [];
    if (asked !== this.#asked) return;
    const list = document.createElement("ol");
    list.className = "cards";
    list.append(...found.map(({ pixels, caption }) => card(this.#data, pixels, caption)));
    this.#show(list);
  }

  /** @param {Element} answer */
  #show(answer) {
    const note = document.createElement("p");
    const { step } = this.#training;
    note.className = "soft";
    note.textContent = step
      ? `From the model at step ${step}.`
      : "The model has not learned anything yet: choose Train first.";
    this.#elements.result.replaceChildren(answer, note);
    this.#elements.result.scrollIntoView({ block: "nearest" });
  }
}

/**
 * @param {string} term
 * @param {string[]} texts
 * @param {string} [name]
 */
function entry(term, texts, name = "") {
  const title = document.createElement("dt");
  title.textContent = term;
  return [
    title,
    ...texts.map((text) => {
      const item = document.createElement("dd");
      item.textContent = text || "(no words)";
      item.className = name;
      return item;
    }),
  ];
}
