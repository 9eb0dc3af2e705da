/** The orientation of pictures. Source: Exif 2.32 section 4.6, tag 0x0112. */

const ORIENTATION = 0x0112;
const SHORT = 3;

/**
 * The orientation, 1-8, from the first directory of EXIF; 1 if there is no orientation.
 *
 * @param {Uint8Array} exif A TIFF structure, with or without the "Exif" prefix that it has in a JPEG.
 * @returns {number}
 */
export function orientationOf(exif) {
  const view = new DataView(exif.buffer, exif.byteOffset, exif.byteLength);
  const base = exif[0] === 0x45 ? 6 : 0;
  const order = String.fromCharCode(...exif.subarray(base, base + 2));
  if (order !== "II" && order !== "MM") return 1;
  const little = order === "II";
  try {
    const start = base + view.getUint32(base + 4, little);
    const end = start + 2 + 12 * view.getUint16(start, little);
    for (let entry = start + 2; entry < end; entry += 12) {
      const isOrientation = view.getUint16(entry, little) === ORIENTATION;
      const value = view.getUint16(entry + 8, little);
      const isValid = view.getUint16(entry + 2, little) === SHORT && value >= 1 && value <= 8;
      if (isOrientation && isValid) return value;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // the structure is cut off
  }
  return 1;
}

/**
 * Turns a picture upright.
 *
 * @param {import("./pixels.js").Rgb} picture As stored.
 * @param {number} orientation EXIF orientation, 1-8.
 * @returns {import("./pixels.js").Rgb}
 */
export function turnUpright(picture, orientation) {
  if (orientation === 1) return picture;
  const { data, height: h, width: w } = picture;
  const isTurned = orientation >= 5;
  const [height, width] = isTurned ? [w, h] : [h, w];
  // Where the first pixel is, and how far the next one is, down and to the right.
  const fromRight = [2, 3, 7, 8].includes(orientation);
  const fromBottom = [3, 4, 6, 7].includes(orientation);
  const start = (fromBottom ? (h - 1) * w : 0) + (fromRight ? w - 1 : 0);
  const [alongRow, alongColumn] = [fromRight ? -1 : 1, fromBottom ? -w : w];
  const [right, down] = isTurned ? [alongColumn, alongRow] : [alongRow, alongColumn];
  const turned = new Uint8Array(data.length);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0, from = 3 * (start + y * down); x < width; x++, at += 3, from += 3 * right) {
      turned[at] = data[from];
      turned[at + 1] = data[from + 1];
      turned[at + 2] = data[from + 2];
    }
  }
  return { data: turned, height, width };
}
