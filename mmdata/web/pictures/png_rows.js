/** The bytes of a PNG's rows -> samples. Source: W3C PNG third edition, 7 to 9. */

/** Start and step of each pass of an interlaced PNG: x, y, right, down. */
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
];

/**
 * Where a row of a pass is in the picture.
 *
 * @typedef {object} Place
 * @property {number} y
 * @property {number} x First pixel.
 * @property {number} step Pixels from one to the next.
 * @property {number} count Number of pixels.
 */

/**
 * The rows of all passes, in the order of the file; passes without pixels have none.
 *
 * @param {{width: number, height: number, interlaced: boolean}} header
 * @returns {Generator<Place, void, void>}
 */
export function* places({ width, height, interlaced }) {
  for (const [x, top, step, down] of interlaced ? ADAM7 : [[0, 0, 1, 1]]) {
    const count = Math.ceil((width - x) / step);
    for (let y = top; count > 0 && y < height; y += down) yield { y, x, step, count };
  }
}

/** Collects rows from the parts of an inflated stream, and undoes their filters. */
export class Rows {
  /**
   * @param {{width: number, height: number, interlaced: boolean, bits: number}} header `bits` of a
   *   pixel.
   * @param {(row: Uint8Array, place: Place) => void} paint Takes each row, [count * bits / 8].
   */
  constructor(header, paint) {
    this.bits = header.bits;
    this.paint = paint;
    this.places = places(header);
    this.row = this.before = new Uint8Array(0);
    this.filter = -1;
    this.filled = 0;
    /** @type {Place | null} */
    this.place = null;
    this.next();
  }

  /** Whether there is nothing left to collect. */
  get done() {
    return this.place === null;
  }

  next() {
    const { value: place } = this.places.next();
    const length = place ? Math.ceil((place.count * this.bits) / 8) : 0;
    const isSamePass = this.place && place && place.y > this.place.y && place.x === this.place.x;
    if (isSamePass && this.place?.step === place.step) {
      [this.row, this.before] = [this.before, this.row];
    } else {
      [this.row, this.before] = [new Uint8Array(length), new Uint8Array(length)];
    }
    this.place = place ?? null;
    this.filter = -1;
    this.filled = 0;
  }

  /** @param {Uint8Array} part */
  push(part) {
    for (let at = 0; at < part.length && this.place; ) {
      if (this.filter < 0) this.filter = part[at++];
      const count = Math.min(part.length - at, this.row.length - this.filled);
      this.row.set(part.subarray(at, at + count), this.filled);
      this.filled += count;
      at += count;
      if (this.filled < this.row.length) return;
      unfilter(this.row, this.before, this.filter, Math.max(this.bits >> 3, 1));
      this.paint(this.row, this.place);
      this.next();
    }
  }
}

/**
 * Undoes the filter of a row, in place.
 *
 * @param {Uint8Array} row
 * @param {Uint8Array} before The row above.
 * @param {number} filter
 * @param {number} size Bytes of a pixel.
 */
function unfilter(row, before, filter, size) {
  const length = row.length;
  if (filter === 1) {
    for (let i = size; i < length; i++) row[i] += row[i - size];
  } else if (filter === 2) {
    for (let i = 0; i < length; i++) row[i] += before[i];
  } else if (filter === 3) {
    for (let i = 0; i < size; i++) row[i] += before[i] >> 1;
    for (let i = size; i < length; i++) row[i] += (row[i - size] + before[i]) >> 1;
  } else if (filter === 4) {
    for (let i = 0; i < size; i++) row[i] += before[i];
    for (let i = size; i < length; i++) {
      row[i] += nearest(row[i - size], before[i], before[i - size]);
    }
  } else if (filter !== 0) {
    throw new Error(`a row has filter ${filter}, not 0 to 4`);
  }
}

/**
 * The neighbour that is nearest to left + above - corner ("Paeth").
 *
 * @param {number} left
 * @param {number} above
 * @param {number} corner
 */
function nearest(left, above, corner) {
  const toLeft = Math.abs(above - corner);
  const toAbove = Math.abs(left - corner);
  const toCorner = Math.abs(left + above - 2 * corner);
  if (toLeft <= toAbove && toLeft <= toCorner) return left;
  return toAbove <= toCorner ? above : corner;
}
