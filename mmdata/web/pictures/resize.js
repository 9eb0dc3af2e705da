/**
 * Images of any size -> images of one size.
 *
 * Sizes and offsets are those of mmdata in Python. Pixels are Pillow 13's, bit for bit; mmdata's own
 * differ from them by at most 1 grey level.
 */

import { INTERPOLATIONS, resample } from "./resample.js";
import { halfToEven } from "./rounding.js";

/** @typedef {import("./resample.js").Interpolation} Interpolation */
/** @typedef {"stretch" | "crop" | "pad"} Fit */
/** @typedef {Uint8Array | Uint8ClampedArray} Pixels */

/**
 * @typedef {object} Shape
 * @property {number} height
 * @property {number} width
 * @property {number} channels
 */

/**
 * How images get one size; the names and values of `Pixels` in Python.
 *
 * @typedef {object} ResizeOptions
 * @property {[number, number]} size [height, width] in pixels.
 * @property {Fit} [fit] "stretch"; "crop" covers the size and cuts off the rest, equally on both
 *   sides; "pad" fits the whole image in, and fills the rest with `background`.
 * @property {Interpolation} [interpolation] "bilinear" or "bicubic", both antialiased.
 * @property {ArrayLike<number>} [background] Color of the padding, one number from 0 to 255 for each
 *   channel; white by default.
 * @property {number} [maxCrop] Largest share of an image that "crop" cuts off, 0 to 1; an image that
 *   would lose more is made smaller and padded.
 * @property {[number, number] | null} [loadSize] Images are resized to this first, then `size` is
 *   cropped from the centre.
 */

const FITS = ["stretch", "crop", "pad"];

/**
 * Resizes an image without keeping its aspect ratio.
 *
 * @param {Pixels} pixels [height, width, channels], 0-255.
 * @param {Shape} shape
 * @param {{size: [number, number], interpolation?: Interpolation}} options
 * @returns {Uint8Array} [size[0], size[1], channels].
 * @throws {Error} An option is invalid, or `pixels` have another length than `shape`.
 */
export function resize(pixels, shape, { size, interpolation = "bilinear" }) {
  return fitInto(pixels, shape, { size, interpolation });
}

/**
 * Fits an image into a size.
 *
 * @param {Pixels} pixels [height, width, channels], 0-255.
 * @param {Shape} shape
 * @param {ResizeOptions} options
 * @returns {Uint8Array} [size[0], size[1], channels].
 * @throws {Error} An option is invalid, or `pixels` have another length than `shape`.
 */
export function fitInto(pixels, shape, options) {
  requireOptions(options);
  requirePixels(pixels, shape);
  const { size, loadSize } = options;
  if (!loadSize) return fitted(pixels, shape, size, options);
  const loaded = fitted(pixels, shape, loadSize, options);
  const [height, width] = loadSize;
  return centerCropped(loaded, { ...shape, height, width }, size);
}

/**
 * @param {Pixels} pixels
 * @param {Shape} shape
 * @param {[number, number]} size
 * @param {ResizeOptions} options
 */
function fitted(pixels, { height, width, channels }, size, options) {
  const { interpolation = "bilinear", background = [255, 255, 255] } = options;
  const whole = fittedSides([height, width], size, options);
  const [rows, columns] = [0, 1].map((axis) => placed(whole[axis], size[axis]));
  const image = resample(
    pixels,
    channels,
    { from: height, to: whole[0], first: rows.first, count: rows.count },
    { from: width, to: whole[1], first: columns.first, count: columns.count },
    interpolation,
  );
  if (rows.count === size[0] && columns.count === size[1]) return image;
  const result = filled(size[0] * size[1], channels, background);
  const length = columns.count * channels;
  for (let y = 0; y < rows.count; y++) {
    const row = image.subarray(y * length, (y + 1) * length);
    result.set(row, ((rows.begin + y) * size[1] + columns.begin) * channels);
  }
  return result;
}

/**
 * Height and width of the whole image, scaled to the result.
 *
 * @param {[number, number]} shape
 * @param {[number, number]} size
 * @param {ResizeOptions} options
 * @returns {[number, number]}
 */
function fittedSides(shape, size, { fit = "stretch", maxCrop = 1 }) {
  if (fit === "stretch") return size;
  const scales = [size[0] / shape[0], size[1] / shape[1]];
  const smaller = Math.min(...scales);
  if (fit === "pad") return sides(shape, (side) => halfToEven(side * smaller));
  let scale = Math.max(...scales);
  if (maxCrop < 1) scale = Math.min(scale, smaller / (1 - maxCrop));
  return sides(shape, (side) => Math.floor(side * scale + 1e-6));
}

/**
 * @param {[number, number]} shape
 * @param {(side: number) => number} scaled
 * @returns {[number, number]}
 */
function sides([height, width], scaled) {
  return [Math.max(scaled(height), 1), Math.max(scaled(width), 1)];
}

/**
 * What is seen of the scaled image along an axis, and where it begins in the result.
 *
 * @param {number} whole
 * @param {number} size
 */
function placed(whole, size) {
  const offset = halfToEven((size - whole) / 2);
  const [first, begin] = [Math.max(-offset, 0), Math.max(offset, 0)];
  return { first, begin, count: Math.min(whole - first, size - begin) };
}

/**
 * @param {Uint8Array} image
 * @param {Shape} shape
 * @param {[number, number]} size
 */
function centerCropped(image, { height, width, channels }, size) {
  const top = halfToEven((height - size[0]) / 2);
  const left = halfToEven((width - size[1]) / 2);
  const result = new Uint8Array(size[0] * size[1] * channels);
  for (let y = 0; y < size[0]; y++) {
    const from = ((top + y) * width + left) * channels;
    result.set(image.subarray(from, from + size[1] * channels), y * size[1] * channels);
  }
  return result;
}

/**
 * @param {number} count
 * @param {number} channels
 * @param {ArrayLike<number>} color
 */
function filled(count, channels, color) {
  const result = new Uint8Array(count * channels);
  for (let i = 0; i < result.length; i++) result[i] = color[i % channels];
  return result;
}

/**
 * @param {ResizeOptions} options
 * @param {string} sizeName Name of the size in the caller's interface.
 * @throws {Error} An option is invalid.
 */
export function requireOptions(options, sizeName = "size") {
  const { size, loadSize, fit = "stretch", interpolation = "bilinear", maxCrop = 1 } = options;
  requireSize(sizeName, size);
  if (loadSize) {
    requireSize("loadSize", loadSize);
    const isSmaller = loadSize[0] < size[0] || loadSize[1] < size[1];
    if (isSmaller) throw invalid("loadSize", `at least ${sizeName} [${size}]`, loadSize);
  }
  if (!FITS.includes(fit)) throw invalid("fit", `one of ${FITS.join(", ")}`, fit);
  if (!INTERPOLATIONS.includes(interpolation)) {
    throw invalid("interpolation", `one of ${INTERPOLATIONS.join(", ")}`, interpolation);
  }
  if (!(maxCrop >= 0 && maxCrop <= 1)) throw invalid("maxCrop", "a share from 0 to 1", maxCrop);
}

/**
 * @param {string} name
 * @param {unknown} size
 */
function requireSize(name, size) {
  const isSize = Array.isArray(size) && size.length === 2;
  if (!isSize || !size.every((side) => Number.isInteger(side) && side >= 1)) {
    throw invalid(name, "two positive whole numbers [height, width]", size);
  }
}

/**
 * @param {Pixels} pixels
 * @param {Shape} shape
 */
function requirePixels(pixels, { height, width, channels }) {
  const sides = [height, width, channels];
  if (!sides.every((side) => Number.isInteger(side) && side >= 1)) {
    throw new Error(`Height, width and channels must be positive whole numbers; got [${sides}].`);
  }
  if (pixels.length !== height * width * channels) {
    throw new Error(
      `Pixels must be height x width x channels = ${height} x ${width} x ${channels} numbers; ` +
        `got ${pixels.length}.`,
    );
  }
}

/**
 * @param {string} name
 * @param {string} requirement
 * @param {unknown} value
 */
function invalid(name, requirement, value) {
  return new Error(`${name} must be ${requirement}; got ${JSON.stringify(value)}.`);
}
