/** Rows of a PNG -> RGB pixels. Source: W3C PNG third edition, 11.2 and 11.3. */

import { blend, paint } from "./pixels.js";

/** @typedef {import("./pixels.js").Span} Span */
/** @typedef {import("./png.js").Parts} Parts */
/** @typedef {(row: Uint8Array, place: import("./png_rows.js").Place) => void} Painter */

export const [GREY, COLOR, PALETTE, GREY_ALPHA, COLOR_ALPHA] = [0, 2, 3, 4, 6];

/**
 * The function that writes rows into a picture.
 *
 * @param {Parts} parts
 * @param {ArrayLike<number>} background RGB behind transparent pixels, 0-255.
 * @param {Uint8Array} data The picture, [height, width, 3].
 * @returns {Painter}
 */
export function painterOf(parts, background, data) {
  const { color, depth, width, channels } = parts.header;
  if (channels === 1 && depth <= 8) {
    const colors = color === PALETTE ? palette(parts, background) : levels(parts, background);
    return (row, place) => paintFromTable(row, depth, colors, data, spanOf(place, width));
  }
  const layout = { channels, bytes: depth / 8 };
  const key = parts.transparency;
  return (row, place) => {
    const span = spanOf(place, width);
    paint(row, layout, background, data, span);
    if (key && color === GREY) paintGrey16(row, key, background, data, span);
    else if (key) paintKey(upperBytes(key, depth), background, data, span);
  };
}

/**
 * @param {import("./png_rows.js").Place} place
 * @param {number} width
 * @returns {Span}
 */
function spanOf({ y, x, step, count }, width) {
  return { at: 3 * (y * width + x), step: 3 * step, count };
}

/**
 * A color as samples of 16 bits -> as it is in the picture.
 *
 * @param {Uint8Array} key
 * @param {number} depth
 */
function upperBytes(key, depth) {
  const first = depth === 16 ? 0 : 1;
  return key.filter((_, i) => i % 2 === first);
}

/**
 * The colors of a palette: [256, 3].
 *
 * @param {Parts} parts
 * @param {ArrayLike<number>} background
 */
function palette({ palette, transparency }, background) {
  const colors = new Uint8Array(256 * 3); // what the palette does not have is black
  colors.set(palette ?? []);
  const alphas = transparency ?? [];
  for (let i = 0; i < 3 * alphas.length; i++) {
    colors[i] = blend(colors[i], alphas[Math.trunc(i / 3)], background[i % 3]);
  }
  return colors;
}

/**
 * The colors of grey levels of 1 to 8 bits: [256, 3].
 *
 * @param {Parts} parts
 * @param {ArrayLike<number>} background
 */
function levels({ header, transparency }, background) {
  const { depth } = header;
  const factor = 255 / ((1 << depth) - 1);
  const key = transparency ? keyOf(transparency, depth, factor) : -1;
  const colors = new Uint8Array(256 * 3);
  for (let level = 0; level < 1 << depth; level++) {
    const grey = level * factor;
    for (let c = 0; c < 3; c++) colors[3 * level + c] = grey === key ? background[c] : grey;
  }
  return colors;
}

/**
 * @param {Uint8Array} transparency
 * @param {number} depth
 * @param {number} factor
 */
function keyOf(transparency, depth, factor) {
  if (depth === 8) return transparency[1];
  return Math.min(((transparency[0] << 8) | transparency[1]) * factor, 255);
}

/**
 * @param {Uint8Array} row
 * @param {number} depth Bits of a pixel, 1 to 8.
 * @param {Uint8Array} colors
 * @param {Uint8Array} data
 * @param {Span} span
 */
function paintFromTable(row, depth, colors, data, { at, step, count }) {
  const mask = (1 << depth) - 1;
  for (let i = 0, bit = 0; i < count; i++, bit += depth, at += step) {
    const color = 3 * ((row[bit >> 3] >> (8 - depth - (bit & 7))) & mask);
    data[at] = colors[color];
    data[at + 1] = colors[color + 1];
    data[at + 2] = colors[color + 2];
  }
}

/**
 * Puts the background where 16-bit grey has the transparent level; rounds the rest, as in Python.
 *
 * @param {Uint8Array} row
 * @param {Uint8Array} key
 * @param {ArrayLike<number>} background
 * @param {Uint8Array} data
 * @param {Span} span
 */
function paintGrey16(row, key, background, data, { at, step, count }) {
  const transparent = (key[0] << 8) | key[1];
  for (let i = 0; i < count; i++, at += step) {
    const level = (row[2 * i] << 8) | row[2 * i + 1];
    const grey = Math.trunc((level + 128) / 257);
    for (let c = 0; c < 3; c++) data[at + c] = level === transparent ? background[c] : grey;
  }
}

/**
 * Puts the background where RGB has the transparent color; of 16 bits, the upper 8 are compared.
 *
 * @param {Uint8Array} key
 * @param {ArrayLike<number>} background
 * @param {Uint8Array} data
 * @param {Span} span
 */
function paintKey([red, green, blue], background, data, { at, step, count }) {
  for (let i = 0; i < count; i++, at += step) {
    if (data[at] !== red || data[at + 1] !== green || data[at + 2] !== blue) continue;
    for (let c = 0; c < 3; c++) data[at + c] = background[c];
  }
}
