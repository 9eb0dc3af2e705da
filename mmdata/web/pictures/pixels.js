/** Pixels of any kind -> RGB. */

import { halfToEven } from "./rounding.js";

/**
 * A picture.
 *
 * @typedef {object} Rgb
 * @property {Uint8Array} data [height, width, 3], 0-255.
 * @property {number} height
 * @property {number} width
 */

/** @typedef {{data: ArrayLike<number>, width: number, height: number, channels?: number}} RawPixels */

/** A larger picture is refused, as in Python. */
export const MAX_PIXELS = 178_956_970;

/**
 * @param {number} height
 * @param {number} width
 * @throws {Error} There are no pixels, or more than the limit.
 */
export function requirePixels(height, width) {
  if (height * width > 0 && height * width <= MAX_PIXELS) return;
  const most = MAX_PIXELS.toLocaleString("en");
  throw new Error(`${height} x ${width} pixels, not between 1 and ${most} in all`);
}

/**
 * Converts raw pixels: grey, grey and alpha, RGB, or RGB and alpha.
 *
 * @param {RawPixels} pixels 0-255; `channels` follows from the length if it is absent, as in
 *   `ImageData`.
 * @param {ArrayLike<number>} background RGB behind transparent pixels, 0-255.
 * @returns {Rgb}
 * @throws {Error} They have another number of values than their sides, or are not bytes.
 */
export function rgbOf({ data, width, height, channels }, background) {
  if (!Number.isInteger(width) || !Number.isInteger(height)) {
    throw new Error(`width and height must be whole numbers; got ${width} and ${height}`);
  }
  requirePixels(height, width);
  const count = width * height;
  const samples = channels ?? data.length / count;
  if (![1, 2, 3, 4].includes(samples) || data.length !== count * samples) {
    throw new Error(
      `data must be height x width x channels numbers, with 1 to 4 channels; got ${data.length} ` +
        `for ${height} x ${width} x ${channels ?? "?"}`,
    );
  }
  if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) {
    throw new Error("data must be a Uint8Array or Uint8ClampedArray, 0 to 255");
  }
  const result = new Uint8Array(count * 3);
  const span = { at: 0, step: 3, count };
  paint(data, { channels: samples, bytes: 1 }, background, result, span);
  return { data: result, height, width };
}

/**
 * A part of a picture, [height, width, 3].
 *
 * @typedef {object} Span
 * @property {number} at Place of the first value.
 * @property {number} step Places from one pixel to the next.
 * @property {number} count Number of pixels.
 */

/**
 * Writes pixels as RGB.
 *
 * @param {Uint8Array | Uint8ClampedArray} from Samples; the upper byte first if they have two.
 * @param {{channels: number, bytes: number}} layout Samples of a pixel, bytes of a sample.
 * @param {ArrayLike<number>} background RGB behind transparent pixels.
 * @param {Uint8Array} to
 * @param {Span} span
 */
export function paint(from, { channels, bytes }, background, to, { at, step, count }) {
  if (channels === 3 && bytes === 1 && step === 3) {
    to.set(from.subarray(0, count * 3), at);
    return;
  }
  const green = channels < 3 ? 0 : bytes;
  const alpha = channels % 2 ? -1 : (channels - 1) * bytes;
  const size = channels * bytes;
  for (let i = 0, place = 0; i < count; i++, place += size, at += step) {
    to[at] = from[place];
    to[at + 1] = from[place + green];
    to[at + 2] = from[place + 2 * green];
    if (alpha > 0 && from[place + alpha] < 255) {
      for (let c = 0; c < 3; c++)
        to[at + c] = blend(to[at + c], from[place + alpha], background[c]);
    }
  }
}

/**
 * A color over a background: Python's float32 arithmetic; halves are rounded to even.
 *
 * @param {number} color 0-255.
 * @param {number} alpha 0-255.
 * @param {number} behind 0-255.
 */
export function blend(color, alpha, behind) {
  const share = Math.fround(alpha / 255);
  return halfToEven(Math.fround(behind + Math.fround((color - behind) * share)));
}
