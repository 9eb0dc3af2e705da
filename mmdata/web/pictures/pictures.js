/** Batches of any pictures: picked files, URLs, raw pixels. */

import { NORMALIZATIONS, normalize } from "./normalize.js";
import { startPrepare } from "./remote_prepare.js";
import { isSendable, prepare } from "./prepare.js";
import { requireOptions } from "./resize.js";

/** @typedef {import("./prepare.js").Picture} Picture */
/** @typedef {import("./prepare.js").PixelSettings} PixelSettings */

/** @typedef {import("../mmdata.d.ts").ImageBatchOptions} ImageBatchOptions */
/** @typedef {import("../mmdata.d.ts").ImageBatch} ImageBatch */

/** @typedef {{pixels: Uint8Array | null, name: string, message: string}} Result */

/**
 * Prepares a picture as in training.
 *
 * @param {Picture} picture A file, a URL, raw pixels: see `Picture`.
 * @param {PixelSettings & {normalize: string}} settings `settings.pixels` of manifest.json.
 * @param {{normalize?: boolean}} [options] `normalize` scales pixels to the range of `settings`.
 * @returns {Promise<Uint8Array | Float32Array>} [height, width, 3], RGB.
 * @throws {Error} The picture cannot be decoded.
 */
export async function preprocess(picture, settings, options) {
  const pixels = await prepare(picture, settings).catch((error) => {
    const name = nameOf(picture) ?? "the picture";
    throw new Error(`preprocess: ${name} cannot be used: ${error.message}`, { cause: error });
  });
  return options?.normalize ? normalize(pixels, 3, settings.normalize) : pixels;
}

/**
 * Batches of pictures, in their order. Reads them one after another while batches are taken, so that
 * memory is bounded whatever their number.
 *
 * @param {Iterable<Picture> | AsyncIterable<Picture>} pictures Files, URLs, raw pixels: see `Picture`.
 * @param {ImageBatchOptions} [options]
 * @returns {AsyncGenerator<ImageBatch, void, void>}
 * @throws {Error} An option is invalid; or a picture cannot be decoded, unless `onProblem` is
 *   "continue".
 */
export async function* imageBatches(pictures, options = {}) {
  const { batchSize = 32, concurrency = 4, onProblem = "error", worker = false } = options;
  const settings = settingsOf(options);
  const scale = normalizationOf(options);
  requireList(pictures);
  requireCount("batchSize", batchSize);
  requireCount("concurrency", concurrency);
  if (onProblem !== "error" && onProblem !== "continue") {
    throw invalid("onProblem", '"error" or "continue"', onProblem);
  }
  const remote = worker ? await startPrepare() : null;
  /** @type {typeof prepare} */
  const prepareAnywhere = (picture, settings) =>
    (remote && isSendable(picture) ? remote.prepare : prepare)(picture, settings);
  try {
    const results = inOrder(pictures, concurrency, (picture, number) =>
      attempt(prepareAnywhere, picture, settings, number),
    );
    for await (const batch of batched(results, batchSize, settings.size, onProblem)) {
      yield { ...batch, images: normalize(batch.images, 3, scale) };
    }
  } finally {
    remote?.close();
  }
}

/**
 * Calls a function on all pictures, a few at a time; yields the results in order.
 *
 * @param {Iterable<Picture> | AsyncIterable<Picture>} pictures
 * @param {number} concurrency
 * @param {(picture: Picture, number: number) => Promise<Result>} work Never fails.
 */
async function* inOrder(pictures, concurrency, work) {
  const running = [];
  let number = 0;
  for await (const picture of pictures) {
    running.push(work(picture, ++number));
    if (running.length === concurrency) yield /** @type {Result} */ (await running.shift());
  }
  for (const result of running) yield await result;
}

/**
 * @param {typeof prepare} prepare
 * @param {Picture} picture
 * @param {PixelSettings} settings
 * @param {number} number
 * @returns {Promise<Result>}
 */
async function attempt(prepare, picture, settings, number) {
  const name = nameOf(picture) ?? `picture ${number}`;
  try {
    return { pixels: await prepare(picture, settings), name, message: "" };
  } catch (error) {
    return { pixels: null, name, message: /** @type {Error} */ (error).message };
  }
}

/**
 * @param {AsyncIterable<Result>} results
 * @param {number} batchSize
 * @param {[number, number]} size
 * @param {"error" | "continue"} onProblem
 */
async function* batched(results, batchSize, size, onProblem) {
  let batch = emptyBatch(batchSize, size);
  for await (const { pixels, name, message } of results) {
    if (!pixels && onProblem === "error") throw refused(name, message);
    const place = batch.names.push(name) - 1;
    if (pixels) batch.images.set(pixels, place * pixels.length);
    else batch.problems.push({ name, message });
    batch.weights[place] = pixels ? 1 : 0;
    if (place + 1 < batchSize) continue;
    yield cut(batch, size);
    batch = emptyBatch(batchSize, size);
  }
  if (batch.names.length) yield cut(batch, size);
}

/**
 * @param {number} batchSize
 * @param {[number, number]} size
 */
function emptyBatch(batchSize, [height, width]) {
  return {
    images: new Uint8Array(batchSize * height * width * 3),
    weights: new Float32Array(batchSize),
    names: /** @type {string[]} */ ([]),
    problems: /** @type {{name: string, message: string}[]} */ ([]),
  };
}

/**
 * A batch without places that are not filled.
 *
 * @param {ReturnType<typeof emptyBatch>} batch
 * @param {[number, number]} size
 */
function cut({ images, weights, names, problems }, [height, width]) {
  const count = names.length;
  /** @type {[number, number, number, number]} */
  const imageShape = [count, height, width, 3];
  const isFull = count === weights.length;
  return {
    images: isFull ? images : images.slice(0, count * height * width * 3),
    imageShape,
    names,
    weights: isFull ? weights : weights.slice(0, count),
    problems,
  };
}

/**
 * @param {string} name
 * @param {string} message
 */
function refused(name, message) {
  return new Error(
    `imageBatches: ${name} cannot be used: ${message}. Remove it, or pass onProblem: "continue" to ` +
      "get a black picture with weight 0 in its place.",
  );
}

/**
 * @param {any} picture
 * @returns {string | null}
 */
function nameOf(picture) {
  const isAddress = typeof picture === "string" || picture instanceof URL;
  const name = isAddress ? String(picture) : picture?.webkitRelativePath || picture?.name;
  const isName = typeof name === "string" && name && !name.startsWith("data:");
  return isName ? name : null;
}

/**
 * @param {ImageBatchOptions} options
 * @returns {PixelSettings}
 */
function settingsOf({ imageSize = 224, loadSize = null, ...options }) {
  const { fit = "stretch", interpolation = "bilinear", maxCrop = 1 } = options;
  const { background = [255, 255, 255] } = options;
  const size = pairOf(imageSize);
  const load = loadSize === null ? null : pairOf(loadSize);
  requireOptions({ size, fit, interpolation, maxCrop, loadSize: load }, "imageSize");
  const isColor =
    background.length === 3 &&
    Array.from(background).every((value) => Number.isInteger(value) && value >= 0 && value <= 255);
  if (!isColor) throw invalid("background", "three whole numbers from 0 to 255 (RGB)", background);
  return { size, fit, interpolation, background, max_crop: maxCrop, load_size: load };
}

/**
 * @param {number | [number, number]} size
 * @returns {[number, number]}
 */
function pairOf(size) {
  return typeof size === "number" ? [size, size] : size;
}

/** @param {ImageBatchOptions} options */
function normalizationOf({ normalize = false }) {
  const name = normalize === true ? "unit" : normalize || "uint8";
  if (NORMALIZATIONS.includes(name)) return name;
  throw invalid("normalize", `true, false, or one of ${NORMALIZATIONS.join(", ")}`, normalize);
}

/** @param {any} pictures */
function requireList(pictures) {
  const isList = pictures?.[Symbol.iterator] || pictures?.[Symbol.asyncIterator];
  if (isList && typeof pictures !== "string" && !ArrayBuffer.isView(pictures)) return;
  throw new TypeError(
    "imageBatches(pictures) must be a list of pictures, e.g. input.files or an array of URLs; got " +
      `${typeof pictures === "string" ? JSON.stringify(pictures) : String(pictures)}.`,
  );
}

/**
 * @param {string} name
 * @param {unknown} count
 */
function requireCount(name, count) {
  if (Number.isInteger(count) && Number(count) >= 1) return;
  throw invalid(name, "a whole number of at least 1", count);
}

/**
 * @param {string} name
 * @param {string} requirement
 * @param {unknown} value
 */
function invalid(name, requirement, value) {
  return new Error(`imageBatches: ${name} must be ${requirement}; got ${JSON.stringify(value)}.`);
}
