/**
 * The start of picture files: format, size, and the orientation that browsers do not apply.
 *
 * Sources: JPEG: ITU-T T.81 annex B; GIF89a; BMP: BITMAPINFOHEADER; WebP: RFC 9649.
 */

import { orientationOf } from "./exif.js";

/** @typedef {{height: number, width: number}} Size */

/** Formats by their first bytes; "." is any byte. */
const STARTS = Object.entries({
  "\x89PNG\r\n\x1a\n": "PNG",
  "\xff\xd8\xff": "JPEG",
  GIF8: "GIF",
  BM: "BMP",
  "RIFF....WEBP": "WebP",
  "....ftypavi": "AVIF",
  "....ftyphei": "HEIC",
  "....ftypmif": "HEIC",
  "\xff\x0a": "JPEG XL",
  "....JXL ": "JPEG XL",
  "II*\0": "TIFF",
  "MM\0*": "TIFF",
  "<svg": "SVG",
  "<?xml": "XML",
});

const EXIF_FLAG = 8;

/**
 * The name of a file's format, e.g. "JPEG"; null if it is not known.
 *
 * @param {Uint8Array} file Its start, at least 12 bytes if there are as many.
 * @returns {string | null}
 */
export function formatOf(file) {
  const found = STARTS.find(([start]) =>
    [...start].every((char, i) => char === "." || char.charCodeAt(0) === file[i]),
  );
  return found ? found[1] : null;
}

/**
 * The size of a picture as its header has it; null if it is not in these bytes, or for formats whose
 * header is not read (AVIF).
 *
 * @param {Uint8Array} file Its start.
 * @returns {Size | null}
 */
export function sizeOf(file) {
  const read = { JPEG: jpegSize, GIF: gifSize, BMP: bmpSize, WebP: webpSize };
  const format = /** @type {keyof typeof read} */ (formatOf(file));
  if (!read[format]) return null;
  try {
    return read[format](new DataView(file.buffer, file.byteOffset, file.byteLength));
  } catch (error) {
    if (error instanceof RangeError) return null; // it ends inside the header
    throw error;
  }
}

/**
 * @param {DataView} view
 * @returns {Size | null}
 */
function jpegSize(view) {
  for (let at = 2; view.getUint8(at) === 0xff; ) {
    const marker = view.getUint8(at + 1);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return { height: view.getUint16(at + 5), width: view.getUint16(at + 7) };
    const isAlone = marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8);
    if (marker === 0xff) at += 1;
    else at += 2 + (isAlone ? 0 : Math.max(view.getUint16(at + 2), 2));
  }
  return null;
}

/** @param {DataView} view */
function gifSize(view) {
  return { height: view.getUint16(8, true), width: view.getUint16(6, true) };
}

/** @param {DataView} view */
function bmpSize(view) {
  if (view.getUint32(14, true) < 40) return null;
  return { height: Math.abs(view.getInt32(22, true)), width: Math.abs(view.getInt32(18, true)) };
}

/** @param {DataView} view */
function webpSize(view) {
  const kind = view.getUint32(12);
  if (kind === 0x56503820) {
    // "VP8 "
    return { height: view.getUint16(28, true) & 0x3fff, width: view.getUint16(26, true) & 0x3fff };
  }
  if (kind === 0x5650384c) {
    // "VP8L"
    const bits = view.getUint32(21, true);
    return { height: ((bits >> 14) & 0x3fff) + 1, width: (bits & 0x3fff) + 1 };
  }
  if (kind !== 0x56503858) return null; // "VP8X"
  return {
    height: (view.getUint32(26, true) >>> 8) + 1,
    width: (view.getUint32(24, true) & 0xffffff) + 1,
  };
}

/**
 * Takes the orientation out of a WebP file: some browsers apply it, Chromium does not.
 *
 * @param {Uint8Array} file A WebP file; the place of its EXIF is changed, so that no browser finds
 *   it.
 * @returns {number} 1-8.
 */
export function takeWebpOrientation(file) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const isExtended = file.length > 30 && view.getUint32(12) === 0x56503858;
  if (!isExtended || !(file[20] & EXIF_FLAG)) return 1;
  for (let at = 12; at + 8 <= file.length; ) {
    const length = view.getUint32(at + 4, true);
    if (view.getUint32(at) === 0x45584946) {
      // "EXIF"
      file[20] &= ~EXIF_FLAG;
      file.set([0x6e, 0x6f, 0x6e, 0x65], at); // a chunk that nobody knows
      return orientationOf(file.subarray(at + 8, at + 8 + length));
    }
    at += 8 + length + (length % 2);
  }
  return 1;
}
