/** Any picture -> pixels of one size. */

import { loadFile } from "./files.js";
import { formatOf } from "./header.js";
import { rgbOf } from "./pixels.js";
import { decodePng } from "./png.js";
import { isNode } from "../loader/runtime.js";
import { fitInto } from "./resize.js";

/** @typedef {import("./pixels.js").Rgb} Rgb */
/** @typedef {import("./pixels.js").RawPixels} RawPixels */

/**
 * A picture: a file; the bytes of a file; the URL of one, in Node also its path; raw pixels, e.g.
 * ImageData; in a browser also an ImageBitmap, and an image or canvas of the page.
 *
 * @typedef {Blob | Uint8Array | ArrayBuffer | string | URL | RawPixels | ImageBitmapSource} Picture
 */

/**
 * How pictures become pixels: `settings.pixels` of manifest.json.
 *
 * @typedef {object} PixelSettings
 * @property {[number, number]} size [height, width]
 * @property {import("./resize.js").Fit} fit
 * @property {import("./resize.js").Interpolation} interpolation
 * @property {[number, number, number]} background RGB of padding and behind transparent pixels.
 * @property {number | null} [max_crop]
 * @property {[number, number] | null} [load_size]
 */

/**
 * Decodes a picture and fits it into a size, as mmdata does in Python.
 *
 * PNG and raw pixels differ from Python's by at most 1 grey level. Browsers decode other formats;
 * Node does not.
 *
 * @param {Picture} picture
 * @param {PixelSettings} settings
 * @returns {Promise<Uint8Array>} [size[0], size[1], 3], RGB, 0-255.
 * @throws {Error} The picture cannot be read or decoded; the message says why, without its name.
 */
export async function prepare(picture, settings) {
  const { size, fit, interpolation, background, max_crop, load_size } = settings;
  const { data, height, width } = await decode(picture, background);
  const shape = { height, width, channels: 3 };
  const maxCrop = max_crop ?? 1;
  const options = { size, fit, interpolation, background, maxCrop, loadSize: load_size };
  return fitInto(data, shape, options);
}

/**
 * @param {Picture} picture
 * @param {ArrayLike<number>} background
 * @returns {Promise<Rgb>}
 */
async function decode(picture, background) {
  if (isRaw(picture)) return rgbOf(picture, background);
  if (isFile(picture)) return decodeFile(await loadFile(picture), background);
  if (isNode || picture === null || typeof picture !== "object") {
    throw new Error(`not a picture: ${what(picture)}. ${ACCEPTED}`);
  }
  const { rgbOfElement } = await import("./browser_pictures.js");
  return rgbOfElement(picture, background);
}

const ACCEPTED =
  "Pass a File, a Blob, the bytes of a file, a URL, or raw pixels {data, width, height, channels}.";

/**
 * @param {Uint8Array} file
 * @param {ArrayLike<number>} background
 */
async function decodeFile(file, background) {
  if (file.length === 0) throw new Error("the file is empty (0 bytes)");
  const format = formatOf(file);
  const name = `not a readable ${format ? `${format} ` : ""}picture`;
  if (format !== "PNG" && isNode) {
    throw new Error(`${format ? `a ${format} file` : "not a known format"}. ${NODE_ACCEPTS}`);
  }
  try {
    if (format === "PNG") return await decodePng(file, background);
    const { decodeInBrowser } = await import("./browser_pictures.js");
    return await decodeInBrowser(file, background);
  } catch (error) {
    const { message } = /** @type {Error} */ (error);
    throw new Error(`${name} (${message})`, { cause: error });
  }
}

const NODE_ACCEPTS =
  "Node decodes PNG only. Convert it to PNG, or pass raw pixels {data, width, height, channels}, " +
  "as the package sharp makes them: sharp(file).rotate().raw().toBuffer({resolveWithObject: true}).";

/**
 * @param {any} picture
 * @returns {picture is RawPixels}
 */
function isRaw(picture) {
  return Boolean(picture?.data) && "width" in picture && "height" in picture;
}

/**
 * Whether a picture is a file, its bytes or its address; such a picture can be sent to a Worker.
 *
 * @param {any} picture
 * @returns {picture is Blob | Uint8Array | ArrayBuffer | string | URL}
 */
function isFile(picture) {
  const isBytes = picture instanceof Uint8Array || picture instanceof ArrayBuffer;
  return (
    isBytes || picture instanceof Blob || picture instanceof URL || typeof picture === "string"
  );
}

/** @param {Picture} picture */
export function isSendable(picture) {
  return isFile(picture) || isRaw(picture);
}

/** @param {unknown} value */
function what(value) {
  return value === null || typeof value !== "object" ? String(value) : value.constructor.name;
}
