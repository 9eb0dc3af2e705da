/**
 * Resampling of uint8 images, antialiased: Pillow 13's integer arithmetic, bit-exact.
 *
 * Source: Pillow 13, `Image.resize`; compared in tests/web/test_resize_js.py.
 */

/** @typedef {"bilinear" | "bicubic"} Interpolation */

/**
 * The part of an axis of the result that is computed.
 *
 * @typedef {object} Axis
 * @property {number} from Pixels of the image along the axis.
 * @property {number} to Pixels of the whole result along the axis.
 * @property {number} first First pixel of the result that is computed.
 * @property {number} count Number of pixels that are computed.
 */

/**
 * Weights for the pixels of an axis, in units of 2^-22.
 *
 * @typedef {object} Taps
 * @property {Int32Array} starts First pixel of the image for each pixel of the result.
 * @property {Int32Array} counts Number of pixels of the image.
 * @property {Int32Array} weights `most` places for each pixel of the result.
 * @property {number} most
 * @property {number} begin First pixel of the image that is needed at all.
 * @property {number} end Last one + 1.
 */

const BITS = 22;
const ONE = 1 << BITS;
const HALF = 1 << (BITS - 1);

/** @type {Record<Interpolation, {support: number, weight: (x: number) => number}>} */
const FILTERS = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { support: 2, weight: (x) => cubic(Math.abs(x)) },
};

/** The choices of interpolation. */
export const INTERPOLATIONS = /** @type {Interpolation[]} */ (Object.keys(FILTERS));

/** @param {number} x At least 0. */
function cubic(x) {
  const a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/**
 * Resizes an image, and computes only a window of the result.
 *
 * @param {Uint8Array | Uint8ClampedArray} pixels [h, w, channels].
 * @param {number} channels
 * @param {Axis} rows
 * @param {Axis} columns
 * @param {Interpolation} interpolation
 * @returns {Uint8Array} [rows.count, columns.count, channels].
 */
export function resample(pixels, channels, rows, columns, interpolation) {
  const down = tapsOf(rows, interpolation);
  const across = tapsOf(columns, interpolation);
  const lost = rows.from - rows.to;
  // The order matters for bicubic: values are clipped between the passes.
  if (lost > 0 && lost > 2 * (columns.from - columns.to)) {
    const { begin, end } = across;
    const part = { stride: columns.from, begin, width: end - begin };
    const tall = vertically(pixels, channels, part, down, 0);
    return horizontally(tall, channels, end - begin, { from: 0, to: rows.count }, across, begin);
  }
  const needed = { from: down.begin, to: down.end };
  const wide = horizontally(pixels, channels, columns.from, needed, across, 0);
  const whole = { stride: columns.count, begin: 0, width: columns.count };
  return vertically(wide, channels, whole, down, down.begin);
}

/**
 * @param {Axis} axis
 * @param {Interpolation} interpolation
 * @returns {Taps}
 */
function tapsOf({ from, to, first, count }, interpolation) {
  const filter = FILTERS[interpolation];
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const support = filter.support * stretch;
  const most = Math.ceil(support) * 2 + 1;
  const taps = {
    starts: new Int32Array(count),
    counts: new Int32Array(count),
    weights: new Int32Array(count * most),
    most,
    begin: from,
    end: 0,
  };
  const weights = new Float64Array(most);
  for (let i = 0; i < count; i++) {
    const center = (first + i + 0.5) * scale;
    const start = Math.max(Math.trunc(center - support + 0.5), 0);
    const end = Math.min(Math.trunc(center + support + 0.5), from);
    let sum = 0;
    for (let x = start; x < end; x++) {
      weights[x - start] = filter.weight((x - center + 0.5) / stretch);
      sum += weights[x - start];
    }
    taps.starts[i] = start;
    taps.counts[i] = end - start;
    for (let k = 0; k < end - start; k++) taps.weights[i * most + k] = fixed(weights[k] / sum);
    taps.begin = Math.min(taps.begin, start);
    taps.end = Math.max(taps.end, end);
  }
  return taps;
}

/** @param {number} weight */
function fixed(weight) {
  return Math.trunc(weight * ONE + (weight < 0 ? -0.5 : 0.5));
}

/**
 * @param {number} sum Weights of 2^-22 times pixels: below 2^31, since absolute weights add up to
 *   less than 1.5.
 */
function clipped(sum) {
  const value = sum >> BITS;
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

/**
 * Resamples rows.
 *
 * @param {Uint8Array | Uint8ClampedArray} pixels
 * @param {number} channels
 * @param {number} width Pixels of a row.
 * @param {{from: number, to: number}} rows The rows that are resampled.
 * @param {Taps} taps
 * @param {number} shift Column of the image with which `pixels` begin.
 * @returns {Uint8Array} [rows.to - rows.from, taps, channels].
 */
function horizontally(pixels, channels, width, rows, taps, shift) {
  const result = new Uint8Array((rows.to - rows.from) * taps.starts.length * channels);
  const length = taps.starts.length * channels;
  for (let y = rows.from, at = 0; y < rows.to; y++, at += length) {
    const start = (y * width - shift) * channels;
    if (channels === 3) resampleRgbRow(pixels, start, taps, result, at);
    else
      for (let c = 0; c < channels; c++) resampleRow(pixels, start, taps, result, at, channels, c);
  }
  return result;
}

/** @type {(pixels: Uint8Array | Uint8ClampedArray, start: number, taps: Taps, result: Uint8Array, at: number) => void} */
function resampleRgbRow(pixels, start, { starts, counts, weights, most }, result, at) {
  for (let i = 0; i < starts.length; i++) {
    let red = HALF;
    let green = HALF;
    let blue = HALF;
    let from = start + starts[i] * 3;
    const end = i * most + counts[i];
    for (let k = i * most; k < end; k++, from += 3) {
      const weight = weights[k];
      red = (red + Math.imul(pixels[from], weight)) | 0;
      green = (green + Math.imul(pixels[from + 1], weight)) | 0;
      blue = (blue + Math.imul(pixels[from + 2], weight)) | 0;
    }
    result[at++] = clipped(red);
    result[at++] = clipped(green);
    result[at++] = clipped(blue);
  }
}

/** @type {(pixels: Uint8Array | Uint8ClampedArray, start: number, taps: Taps, result: Uint8Array, at: number, channels: number, channel: number) => void} */
function resampleRow(pixels, start, taps, result, at, channels, channel) {
  const { starts, counts, weights, most } = taps;
  for (let i = 0; i < starts.length; i++) {
    let sum = HALF;
    let from = start + starts[i] * channels + channel;
    const end = i * most + counts[i];
    for (let k = i * most; k < end; k++, from += channels) {
      sum = (sum + Math.imul(pixels[from], weights[k])) | 0;
    }
    result[at + i * channels + channel] = clipped(sum);
  }
}

/**
 * Resamples columns, a whole row of the result at a time.
 *
 * @param {Uint8Array | Uint8ClampedArray} pixels
 * @param {number} channels
 * @param {{stride: number, begin: number, width: number}} part The columns that are resampled, and
 *   the pixels of a row.
 * @param {Taps} taps
 * @param {number} shift Row of the image with which `pixels` begin.
 * @returns {Uint8Array} [taps, part.width, channels].
 */
function vertically(pixels, channels, part, taps, shift) {
  const { starts, counts, weights, most } = taps;
  const length = part.width * channels;
  const result = new Uint8Array(starts.length * length);
  const sums = new Int32Array(length);
  for (let i = 0; i < starts.length; i++) {
    sums.fill(HALF);
    for (let k = 0; k < counts[i]; k++) {
      const weight = weights[i * most + k];
      const row = ((starts[i] + k - shift) * part.stride + part.begin) * channels;
      for (let x = 0; x < length; x++) sums[x] += Math.imul(pixels[row + x], weight);
    }
    for (let x = 0, at = i * length; x < length; x++) result[at + x] = clipped(sums[x]);
  }
  return result;
}
