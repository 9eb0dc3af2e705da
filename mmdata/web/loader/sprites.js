/** Decodes our own PNG sprites: opaque RGB, 8 bits, not interlaced, filters None, Sub and Up. */

import { inflate } from "./inflate.js";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const RGB_8_BITS = [8, 2, 0, 0, 0]; // depth, colour type, compression, filter method, interlace

/**
 * The images of a sprite, one after another.
 *
 * @param {Uint8Array} file
 * @param {{ grid: [number, number], size: [number, number], rows: number }} layout The grid's rows and
 *   columns; (height, width) of an image; the number of images.
 * @param {string} where Its address, for messages.
 * @returns {Promise<Uint8Array>} [rows, height, width, 3]
 */
export async function decodeSprite(file, { grid, size, rows }, where) {
  const [height, width] = [grid[0] * size[0], grid[1] * size[1]];
  const stride = 1 + 3 * width;
  const parts = compressedParts(file, width, height, where);
  const lines = await inflate(parts, height * stride);
  if (!lines) throw invalid(where, "pixels that cannot be decompressed");
  const images = new Uint8Array(rows * size[0] * size[1] * 3);
  copyImages(lines, stride, { grid, size, rows }, images, where);
  return images;
}

/**
 * @param {Uint8Array} file
 * @param {number} width
 * @param {number} height
 * @param {string} where
 */
function compressedParts(file, width, height, where) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const parts = [];
  let hasHeader = SIGNATURE.every((byte, i) => file[i] === byte);
  if (!hasHeader) throw invalid(where, "a file that is not a PNG");
  for (let at = 8; at + 12 <= file.length; ) {
    const [length, name] = [view.getUint32(at), nameAt(file, at + 4)];
    const data = file.subarray(at + 8, at + 8 + length);
    if (name === "IHDR") {
      const sides = [view.getUint32(at + 8), view.getUint32(at + 12)];
      hasHeader = RGB_8_BITS.every((byte, i) => data[8 + i] === byte);
      if (!hasHeader || sides[0] !== width || sides[1] !== height) {
        throw invalid(where, `a PNG of another kind, ${sides[0]} x ${sides[1]} pixels`);
      }
    } else if (name === "IDAT") parts.push(data);
    else if (name === "IEND") return parts;
    else throw invalid(where, `a PNG with a chunk "${name}"`);
    at += 12 + length;
  }
  throw invalid(where, "a PNG without an end");
}

/**
 * @param {Uint8Array} file
 * @param {number} at
 */
function nameAt(file, at) {
  return String.fromCharCode(...file.subarray(at, at + 4));
}

/**
 * Undoes the filter of each line, and cuts the lines into images.
 *
 * @param {Uint8Array} lines
 * @param {number} stride
 * @param {{ grid: [number, number], size: [number, number], rows: number }} layout
 * @param {Uint8Array} images
 * @param {string} where
 */
function copyImages(lines, stride, { grid, size, rows }, images, where) {
  const [height, width] = size;
  const [ofLine, ofImage] = [3 * width, 3 * width * height];
  // Lines at addresses that 32-bit words can have.
  let above = new Int32Array(Math.ceil((stride - 1) / 4));
  let words = new Int32Array(above.length);
  for (let y = 0; y < grid[0] * height; y++) {
    const bytes = new Uint8Array(words.buffer, 0, stride - 1);
    bytes.set(lines.subarray(y * stride + 1, (y + 1) * stride));
    const filter = lines[y * stride];
    if (filter === 1) undoSub(bytes);
    else if (filter === 2) undoUp(words, above);
    else if (filter) throw invalid(where, `a PNG with the filter ${filter}`);
    const first = Math.floor(y / height) * grid[1];
    const last = Math.min(first + grid[1], rows);
    for (let image = first; image < last; image++) {
      const from = (image - first) * ofLine;
      const to = image * ofImage + (y % height) * ofLine;
      images.set(bytes.subarray(from, from + ofLine), to);
    }
    [above, words] = [words, above];
  }
}

/** @param {Uint8Array} bytes */
function undoSub(bytes) {
  let [red, green, blue] = [0, 0, 0];
  for (let i = 0; i < bytes.length; i += 3) {
    bytes[i] = red += bytes[i];
    bytes[i + 1] = green += bytes[i + 1];
    bytes[i + 2] = blue += bytes[i + 2];
  }
}

/**
 * Adds four bytes at once: the high bits apart, so that nothing is carried into the next byte.
 *
 * @param {Int32Array} words
 * @param {Int32Array} above
 */
function undoUp(words, above) {
  for (let i = 0; i < words.length; i++) {
    const a = words[i];
    const b = above[i];
    words[i] = ((a & 0x7f7f7f7f) + (b & 0x7f7f7f7f)) ^ ((a ^ b) & 0x80808080);
  }
}

/**
 * @param {string} where
 * @param {string} got
 */
function invalid(where, got) {
  return new Error(
    `${where} must be a sprite that mmdata wrote; got ${got}. Export the folder again, and do not ` +
      "let other programs optimize its pictures.",
  );
}
