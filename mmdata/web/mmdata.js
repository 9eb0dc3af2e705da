/** Reads what `mmdata.export_web` writes, in a page, in a Worker and in Node 18 or later. */

import { openFiles, toUrl } from "./loader/files.js";
import { readManifest } from "./loader/manifest.js";
import { readAhead } from "./loader/read_ahead.js";
import { toExample } from "./loader/tensors.js";

export { tfDataset, weightedAccuracy, weightedLoss } from "./loader/tensors.js";

/**
 * @typedef {import("./mmdata.d.ts").BatchOptions} BatchOptions
 * @typedef {import("./mmdata.d.ts").Manifest} Manifest
 * @typedef {Pick<import("./loader/reader.js").Reader, "batch" | "examples" | "close">} AnyReader
 */

const CACHE_BYTES = 256 * 1024 * 1024;

/** @type {typeof import("./mmdata.d.ts").open} */
export async function open(url, options = {}) {
  const { worker = false, cacheBytes = CACHE_BYTES, tf, tokenizer = true, fetch } = options;
  if (worker && fetch) {
    throw new TypeError("open(fetch=...) must be left out with worker: true; got a function.");
  }
  if (!(cacheBytes >= 0)) {
    throw new RangeError(`open(cacheBytes=...) must be a number of at least 0; got ${cacheBytes}.`);
  }
  const files = await openFiles(url, fetch ?? ((...request) => globalThis.fetch(...request)));
  const manifest = await readManifest(files);
  const text = tokenizer ? await loadTokenizer(files, manifest.settings.text) : null;
  const reader = worker
    ? await startWorker({ address: String(await toUrl(String(url))), manifest, cacheBytes })
    : new (await import("./loader/reader.js")).Reader(files, manifest, cacheBytes);
  return new WebData(manifest, reader, text, tf);
}

/**
 * @param {import("./loader/files.js").Files} files
 * @param {import("./mmdata.d.ts").TextSettings | null} text
 * @returns {Promise<import("./mmdata.d.ts").Tokenizer | null>}
 */
async function loadTokenizer(files, text) {
  if (!text?.tokenizer) return null;
  const { openTokenizer } = await import("./loader/open_tokenizer.js");
  return openTokenizer(files, text, text.tokenizer);
}

/** @param {{ address: string, manifest: Manifest, cacheBytes: number }} request */
async function startWorker(request) {
  const { RemoteReader } = await import("./loader/remote_reader.js");
  return RemoteReader.open(request);
}

/** @type {typeof import("./mmdata.d.ts").imageBatches} */
export async function* imageBatches(pictures, options) {
  const { imageBatches: batches } = await import("./pictures/pictures.js");
  yield* batches(pictures, options);
}

/** @implements {import("./mmdata.d.ts").Data} */
class WebData {
  #reader;
  #tf;
  #isClosed = false;
  /** @type {Map<string, number>} How many examples `nextBatch` gave of each split. */
  #given = new Map();

  /**
   * @param {Manifest} manifest
   * @param {AnyReader} reader
   * @param {import("./mmdata.d.ts").Tokenizer | null} tokenizer
   * @param {any} tf
   */
  constructor(manifest, reader, tokenizer, tf) {
    this.#reader = reader;
    this.#tf = tf;
    this.manifest = manifest;
    this.tokenizer = tokenizer;
    this.splits = Object.keys(manifest.settings.splits);
    this.imageSize = manifest.settings.pixels.size;
    this.channels = manifest.settings.pixels.channels;
    this.classNames = manifest.settings.task.class_names;
  }

  /** @param {string} split */
  size(split) {
    const { captions, rows } = this.#split("size(split)", split);
    return this.manifest.settings.task.captions === "all" ? captions : rows;
  }

  /** @param {string} split */
  rows(split) {
    return this.#split("rows(split)", split).rows;
  }

  /** @param {{ split?: string, batchSize?: number }} [options] */
  stepsPerEpoch({ split = "train", batchSize = this.manifest.settings.order.batch_size } = {}) {
    const count = this.size(split);
    this.#requireBatchSize("stepsPerEpoch", batchSize, split);
    const isShortDropped = this.#remainder(split) === "drop";
    return isShortDropped ? Math.floor(count / batchSize) : Math.ceil(count / batchSize);
  }

  /** @param {BatchOptions & { epochs?: number }} [options] */
  batches(options = {}) {
    const { epochs = 1, ...others } = options;
    if (!(epochs === Infinity || (Number.isInteger(epochs) && epochs >= 1))) {
      throw new RangeError(`batches({ epochs }) must be a whole number from 1; got ${epochs}.`);
    }
    const request = this.#request("batches", others);
    const steps = this.stepsPerEpoch(request);
    const end = (Math.floor(request.at / steps) + epochs) * steps;
    return readAhead(numbers(request.at, end), async (at) => {
      this.#requireOpen();
      return this.#reader.batch({ ...request, at });
    });
  }

  /**
   * @param {number} size
   * @param {{ normalize?: boolean }} [options]
   */
  nextTrainBatch(size, options) {
    return this.nextBatch(size, "train", options);
  }

  /**
   * @param {number} size
   * @param {{ normalize?: boolean }} [options]
   */
  nextTestBatch(size, options) {
    return this.nextBatch(size, "test", options);
  }

  /**
   * @param {number} size
   * @param {string} [split]
   * @param {{ normalize?: boolean }} [options]
   */
  async nextBatch(size, split = "train", { normalize = Boolean(this.#tf) } = {}) {
    this.#requireOpen();
    const at = this.#given.get(split) ?? 0;
    const request = this.#request("nextBatch", { split, batchSize: size, at, normalize });
    this.#given.set(split, at + size);
    return toExample(this.#tf, await this.#reader.examples(request), this.manifest);
  }

  /**
   * @param {import("./mmdata.d.ts").Picture} picture
   * @param {{ normalize?: boolean }} [options]
   */
  async preprocess(picture, options) {
    const { preprocess } = await import("./pictures/pictures.js");
    return preprocess(picture, this.manifest.settings.pixels, options);
  }

  close() {
    this.#isClosed = true;
    this.#reader.close();
  }

  /**
   * @param {string} who
   * @param {BatchOptions} options
   * @returns {import("./loader/reader.js").Request}
   */
  #request(who, options) {
    this.#requireOpen();
    const { order } = this.manifest.settings;
    const { split = "train", batchSize = order.batch_size, seed = order.seed, at = 0 } = options;
    const { shuffle = order.shuffle, normalize = false } = options;
    this.#split(`${who}({ split })`, split);
    this.#requireBatchSize(who, batchSize, split);
    if (!(Number.isSafeInteger(at) && at >= 0)) {
      throw new RangeError(`${who}({ at }) must be a whole number from 0; got ${at}.`);
    }
    if (!/^-?\d+$/.test(String(seed))) {
      throw new TypeError(`${who}({ seed }) must be a whole number; got ${seed}.`);
    }
    if (![true, false, "blocks"].includes(shuffle)) {
      throw new TypeError(`${who}({ shuffle }) must be true, false or "blocks"; got ${shuffle}.`);
    }
    return { split, batchSize, seed: String(seed), shuffle, normalize, at };
  }

  /**
   * @param {string} who
   * @param {string} name
   */
  #split(who, name) {
    const split = this.manifest.settings.splits[name];
    if (split && this.splits.includes(name)) return split;
    const names = this.splits.map((each) => `"${each}"`).join(", ");
    throw new RangeError(`data.${who} must be one of ${names}; got ${JSON.stringify(name)}.`);
  }

  /**
   * @param {string} who
   * @param {number} batchSize
   * @param {string} split
   */
  #requireBatchSize(who, batchSize, split) {
    const isKept = who === "nextBatch" || this.#remainder(split) === "keep";
    const most = isKept ? Infinity : this.size(split);
    if (Number.isSafeInteger(batchSize) && batchSize >= 1 && batchSize <= most) return;
    const range = isKept ? "from 1" : `from 1 to ${most}, the size of "${split}"`;
    const name = who === "nextBatch" ? "nextBatch(size)" : `${who}({ batchSize })`;
    throw new RangeError(`data.${name} must be a whole number ${range}; got ${batchSize}.`);
  }

  /** @param {string} split */
  #remainder(split) {
    const { splits, order } = this.manifest.settings;
    return splits[split].evaluation ? "keep" : order.remainder;
  }

  #requireOpen() {
    if (this.#isClosed)
      throw new Error("The data is closed: data.close() was called. Open it again.");
  }
}

/**
 * @param {number} begin
 * @param {number} end
 */
function* numbers(begin, end) {
  for (let number = begin; number < end; number++) yield number;
}
