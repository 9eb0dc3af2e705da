/** Pictures that a browser decodes -> RGB pixels. */

import { turnUpright } from "./exif.js";
import { formatOf, sizeOf, takeWebpOrientation } from "./header.js";
import { paint, requirePixels } from "./pixels.js";

/** @typedef {import("./pixels.js").Rgb} Rgb */

/** Pixels that are read from the canvas at a time. */
const STRIP = 1 << 20;

/**
 * Decodes a picture file of a format that the browser knows.
 *
 * @param {Uint8Array} file
 * @param {ArrayLike<number>} background RGB behind transparent pixels, 0-255.
 * @returns {Promise<Rgb>} Upright; without color profile.
 * @throws {Error} The browser cannot decode it, or it has more pixels than the limit.
 */
export async function decodeInBrowser(file, background) {
  const size = sizeOf(file);
  if (size) requirePixels(size.height, size.width);
  const isWebp = formatOf(file) === "WebP";
  const own = isWebp ? file.slice() : file;
  const orientation = isWebp ? takeWebpOrientation(own) : 1;
  const bitmap = await bitmapOf(new Blob([/** @type {BlobPart} */ (own)]));
  try {
    return turnUpright(rgbOfBitmap(bitmap, background), orientation);
  } finally {
    bitmap.close();
  }
}

/**
 * The pixels of an image or canvas of a page.
 *
 * @param {ImageBitmapSource} element
 * @param {ArrayLike<number>} background RGB behind transparent pixels, 0-255.
 * @returns {Promise<Rgb>}
 * @throws {Error} It has no pixels, e.g. because it is not loaded.
 */
export async function rgbOfElement(element, background) {
  const bitmap = await bitmapOf(element);
  try {
    return rgbOfBitmap(bitmap, background);
  } finally {
    bitmap.close();
  }
}

/** @param {ImageBitmapSource} source */
function bitmapOf(source) {
  return createImageBitmap(source, {
    colorSpaceConversion: "none",
    imageOrientation: "from-image",
    premultiplyAlpha: "none",
  }).catch((error) => {
    throw new Error(`the browser cannot decode it: ${error.message}`, { cause: error });
  });
}

/**
 * Reads pixels in strips, so that a whole canvas is never in memory. A canvas loses colors where it is
 * transparent; on a background it is opaque, and differs from Python by at most 1 level.
 *
 * @param {ImageBitmap} bitmap
 * @param {ArrayLike<number>} background
 * @returns {Rgb}
 */
function rgbOfBitmap(bitmap, background) {
  const { height, width } = bitmap;
  requirePixels(height, width);
  const rows = Math.min(height, Math.max(1, Math.trunc(STRIP / width)));
  const context = contextOf(width, rows);
  context.fillStyle = `rgb(${Array.from(background).join(" ")})`;
  const data = new Uint8Array(height * width * 3);
  for (let top = 0; top < height; top += rows) {
    const count = width * Math.min(rows, height - top);
    context.fillRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, -top);
    const strip = context.getImageData(0, 0, width, count / width).data;
    const span = { at: 3 * width * top, step: 3, count };
    paint(strip, { channels: 4, bytes: 1 }, background, data, span);
  }
  return { data, height, width };
}

/** @type {OffscreenCanvasRenderingContext2D | null} */
let shared = null;

/**
 * A canvas for one strip after another: browsers give back the memory of a canvas late, so that one
 * for each picture would fill it.
 *
 * @param {number} width
 * @param {number} height
 */
function contextOf(width, height) {
  shared ??= new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (!shared) throw new Error("the browser has no canvas of this size");
  const { canvas } = shared;
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  return shared;
}
