/**
 * PNG files -> RGB pixels, without a canvas: every color type, 1 to 16 bits, interlaced or not.
 *
 * Pixels equal those of mmdata in Python: 16 bits become the upper 8, alpha is blended on the
 * background, the orientation of an eXIf chunk is applied, and color profiles and gamma are not. Only
 * 16-bit grey with a transparent level is rounded, as there.
 *
 * Source: W3C PNG third edition.
 */

import { crc32 } from "../loader/crc32.js";
import { orientationOf, turnUpright } from "./exif.js";
import { requirePixels } from "./pixels.js";
import { COLOR, COLOR_ALPHA, GREY, GREY_ALPHA, PALETTE, painterOf } from "./png_colors.js";
import { Rows } from "./png_rows.js";

/** @typedef {import("./pixels.js").Rgb} Rgb */

/**
 * @typedef {object} Header
 * @property {number} width
 * @property {number} height
 * @property {number} depth Bits of a sample.
 * @property {number} color Color type.
 * @property {number} channels Samples of a pixel.
 * @property {boolean} interlaced
 * @property {number} bits Bits of a pixel.
 */

/**
 * What a PNG file consists of.
 *
 * @typedef {object} Parts
 * @property {Header} header
 * @property {Uint8Array | null} palette
 * @property {Uint8Array | null} transparency
 * @property {number} orientation
 * @property {Uint8Array[]} stream The parts of the compressed rows.
 */

/** Samples of a pixel, and permitted bits of a sample, by color type. */
const KINDS = new Map([
  [GREY, { channels: 1, depths: [1, 2, 4, 8, 16] }],
  [COLOR, { channels: 3, depths: [8, 16] }],
  [PALETTE, { channels: 1, depths: [1, 2, 4, 8] }],
  [GREY_ALPHA, { channels: 2, depths: [8, 16] }],
  [COLOR_ALPHA, { channels: 4, depths: [8, 16] }],
]);

/** Input of one step: inflated, it takes at most 1,032 times as much memory. */
const STEP = 1 << 16;
const MAX_RATIO = 1032;

/**
 * Decodes a PNG file.
 *
 * @param {Uint8Array} file
 * @param {ArrayLike<number>} background RGB behind transparent pixels, 0-255.
 * @returns {Promise<Rgb>} Upright.
 * @throws {Error} The file is damaged, cut off, or has more pixels than the limit; the message says
 *   why.
 */
export async function decodePng(file, background) {
  const parts = readChunks(file);
  const { width, height } = parts.header;
  requireEnough(parts);
  const data = new Uint8Array(width * height * 3);
  const rows = new Rows(parts.header, painterOf(parts, background, data));
  await inflate(parts.stream, rows);
  return turnUpright({ data, height, width }, parts.orientation);
}

/**
 * @param {Uint8Array} file
 * @returns {Parts}
 */
function readChunks(file) {
  /** @type {Partial<Parts> & {stream: Uint8Array[]}} */
  const parts = { palette: null, transparency: null, orientation: 1, stream: [] };
  let previous = "";
  for (const { type, content } of chunks(file)) {
    if ((previous === "") !== (type === "IHDR")) throw new Error("IHDR is not its first chunk");
    if (type === "IEND") break;
    const isSplit = type === "IDAT" && parts.stream.length > 0 && previous !== "IDAT";
    if (isSplit) throw new Error("another chunk is between its IDAT chunks");
    readChunk(type, content, parts);
    previous = type;
  }
  const { header, palette, stream } = parts;
  if (!header || stream.length === 0) throw new Error("it has no pixels");
  if (header.color === PALETTE && !palette) throw new Error("its palette is missing");
  return /** @type {Parts} */ (parts);
}

/**
 * @param {string} type
 * @param {Uint8Array} content
 * @param {Partial<Parts> & {stream: Uint8Array[]}} parts
 */
function readChunk(type, content, parts) {
  const isBefore = parts.stream.length === 0;
  if (type === "IHDR") parts.header = readHeader(content);
  else if (type === "PLTE") parts.palette = readPalette(content, parts);
  else if (type === "IDAT") parts.stream.push(content);
  else if (type === "tRNS" && isBefore) parts.transparency = readTransparency(content, parts);
  else if (type === "eXIf" && isBefore) parts.orientation = orientationOf(content);
  else if (isNeeded(type)) throw new Error(`it has a chunk of an unknown kind, "${type}"`);
}

/**
 * Whether a chunk must be understood: its name begins with a capital.
 *
 * @param {string} type
 */
function isNeeded(type) {
  return type[0] >= "A" && type[0] <= "Z";
}

/**
 * The chunks up to IEND.
 *
 * @param {Uint8Array} file
 */
function* chunks(file) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  for (let at = 8; ; ) {
    if (at + 12 > file.length) throw cutOff(file.length);
    const length = view.getUint32(at);
    const end = at + 8 + length;
    if (end + 4 > file.length) throw cutOff(file.length);
    const type = String.fromCharCode(...file.subarray(at + 4, at + 8));
    const isUsed = isNeeded(type) || type === "tRNS" || type === "eXIf";
    if (isUsed && view.getUint32(end) !== crc32(file.subarray(at + 4, end))) {
      throw new Error(`the checksum of its ${type} chunk is wrong`);
    }
    yield { type, content: file.subarray(at + 8, end) };
    if (type === "IEND") return;
    at = end + 4;
  }
}

/** @param {number} length */
function cutOff(length) {
  return new Error(`premature end of data after ${length.toLocaleString("en")} bytes`);
}

/**
 * @param {Uint8Array} content
 * @returns {Header}
 */
function readHeader(content) {
  if (content.length !== 13) throw new Error("its header has another length than 13 bytes");
  const view = new DataView(content.buffer, content.byteOffset, 13);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const [depth, color, compression, filters, interlacing] = content.subarray(8);
  requirePixels(height, width);
  const kind = KINDS.get(color);
  if (!kind?.depths.includes(depth)) {
    throw new Error(
      `its header has color type ${color} with ${depth} bits, which PNG does not have`,
    );
  }
  if (compression !== 0 || filters !== 0 || interlacing > 1) {
    throw new Error("its header has an unknown compression, filter or interlace method");
  }
  const { channels } = kind;
  const interlaced = interlacing === 1;
  return { width, height, depth, color, channels, interlaced, bits: depth * channels };
}

/**
 * @param {Uint8Array} content
 * @param {Partial<Parts>} parts
 */
function readPalette(content, { palette, header }) {
  if (header?.color !== PALETTE) return null;
  if (palette) throw new Error("it has two palettes");
  if (content.length === 0 || content.length % 3 || content.length > 768) {
    throw new Error("its palette is damaged");
  }
  return content;
}

/**
 * @param {Uint8Array} content
 * @param {Partial<Parts>} parts
 */
function readTransparency(content, { header, palette }) {
  const color = header?.color;
  if (color === PALETTE) return palette && content.length <= palette.length / 3 ? content : null;
  const length = color === GREY ? 2 : color === COLOR ? 6 : 0;
  if (content.length < length) throw new Error("its tRNS chunk is too short");
  return length ? content : null;
}

/**
 * Throws if the stream cannot hold all rows, before memory is taken for them.
 *
 * @param {Parts} parts
 */
function requireEnough({ header, stream }) {
  const bytes = stream.reduce((sum, part) => sum + part.length, 0);
  if ((header.width * header.height * header.bits) / 8 > bytes * MAX_RATIO) throw tooFewRows();
}

function tooFewRows() {
  return new Error("premature end of data: it does not have all rows");
}

/**
 * @param {Uint8Array[]} parts
 * @param {Rows} rows
 */
async function inflate(parts, rows) {
  const stream = /** @type {ReadableStream<BufferSource>} */ (new ReadableStream(inSteps(parts)));
  const reader = stream.pipeThrough(new DecompressionStream("deflate")).getReader();
  try {
    while (!rows.done) {
      const { done, value } = await reader.read().catch((error) => {
        throw new Error("its compressed pixels are damaged or cut off", { cause: error });
      });
      if (done) throw tooFewRows();
      rows.push(value);
    }
  } finally {
    reader.cancel().catch(() => {}); // a stream that failed cannot be cancelled
  }
}

/**
 * @param {Uint8Array[]} parts
 * @returns {UnderlyingDefaultSource<Uint8Array>}
 */
function inSteps(parts) {
  let [part, at] = [0, 0];
  return {
    pull(controller) {
      while (part < parts.length && at >= parts[part].length) [part, at] = [part + 1, 0];
      if (part === parts.length) return controller.close();
      controller.enqueue(parts[part].subarray(at, at + STEP));
      at += STEP;
    },
  };
}
