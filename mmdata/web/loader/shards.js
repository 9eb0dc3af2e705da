/** Shards -> columns and images in memory, each checked against the manifest. */

import { Cache } from "./cache.js";
import { crc32 } from "./crc32.js";
import { damaged, requireSame } from "./damage.js";
import { limit } from "./limit.js";
import { parseNpy } from "./npy.js";
import { decodeSprite } from "./sprites.js";

/**
 * @typedef {import("../mmdata.d.ts").Manifest} Manifest
 * @typedef {{ file: string, bytes: number, crc32: number }} FileEntry
 * @typedef {{ values: any, offsets: Uint32Array }} Ragged Items one after another; item i is from
 *   `offsets[i]` up to `offsets[i + 1]`.
 */

const DECODED_AT_ONCE = 4;
const EARLY_SHARE = 1 / 16; // when this share of a shard was read in parts, the rest will be needed too
const CACHE_SHARE = 3 / 4; // of the cache, for images

export class Shards {
  /**
   * @param {import("./files.js").Files} files
   * @param {Manifest} manifest
   * @param {number} cacheBytes
   */
  constructor(files, manifest, cacheBytes) {
    const { size, channels } = manifest.settings.pixels;
    this.files = files;
    this.manifest = manifest;
    this.imageBytes = size[0] * size[1] * channels;
    this.cache = new Cache(cacheBytes);
    this.limited = limit(DECODED_AT_ONCE);
    /** @type {number[]} How many rows of each shard were read in parts. */
    this.partsRead = [];
  }

  /**
   * A column with one number for each row.
   *
   * @param {number} shard
   * @param {string} name
   * @returns {Promise<any>} A typed array.
   */
  fixed(shard, name) {
    const { files } = this.manifest.shards[shard];
    const load = () => this.#npy(files[name], this.manifest.columns[name].dtype);
    return this.cache.get(`${shard} ${name}`, load, (values) => values.byteLength);
  }

  /**
   * A column with several numbers for each item.
   *
   * @param {number} shard
   * @param {string} name
   * @returns {Promise<Ragged>}
   */
  ragged(shard, name) {
    const file = this.manifest.shards[shard].files[name];
    const load = async () => {
      const [values, offsets] = await Promise.all([
        this.#npy(file, this.manifest.columns[name].dtype),
        this.#npy(/** @type {FileEntry} */ (file.offsets), "<u4"),
      ]);
      return { values, offsets };
    };
    const bytes = (/** @type {Ragged} */ r) => r.values.byteLength + r.offsets.byteLength;
    return this.cache.get(`${shard} ${name}`, load, bytes);
  }

  /**
   * Where the captions of each row begin: uint32 [rows + 1].
   *
   * @param {number} shard
   * @returns {Promise<Uint32Array>}
   */
  captionStarts(shard) {
    const load = async () => {
      const counts = await this.fixed(shard, "caption_count");
      const starts = new Uint32Array(counts.length + 1);
      for (let row = 0; row < counts.length; row++) starts[row + 1] = starts[row] + counts[row];
      return starts;
    };
    return this.cache.get(`${shard} starts`, load, (starts) => starts.byteLength);
  }

  /**
   * Copies the images of some rows of a shard to their places in a batch.
   *
   * @param {number} shard
   * @param {number[]} rows In the shard.
   * @param {number[]} places In the batch, one for each row.
   * @param {Uint8Array} images The batch.
   * @param {number} inUse How many shards the next batches are from.
   */
  async copyImages(shard, rows, places, images, inUse) {
    const size = this.imageBytes;
    const parts = this.#prefersParts(shard, rows.length, inUse)
      ? await this.#readParts(shard, rows)
      : null;
    const whole = parts ?? (await this.#whole(shard));
    for (let i = 0; i < rows.length; i++) {
      const image =
        parts?.get(rows[i]) ?? imageAt(/** @type {Uint8Array} */ (whole), rows[i], size);
      images.set(image, places[i] * size);
    }
  }

  /**
   * @param {number} shard
   * @param {number} count
   * @param {number} inUse
   */
  #prefersParts(shard, count, inUse) {
    const { rows } = this.manifest.shards[shard];
    const hasParts = "image_crc32" in this.manifest.columns;
    if (!hasParts || this.cache.has(imageKey(shard)) || count > rows / 2) return false;
    const fits = inUse * rows * this.imageBytes <= CACHE_SHARE * this.cache.limit;
    const read = (this.partsRead[shard] ?? 0) + count;
    if (fits && read > rows * EARLY_SHARE) return false;
    this.partsRead[shard] = read;
    return true;
  }

  /**
   * All images of a shard: [rows, h, w, channels].
   *
   * @param {number} shard
   * @param {Uint8Array} [content] Of its file, if it was read already.
   * @returns {Promise<Uint8Array>}
   */
  #whole(shard, content) {
    const { rows, files } = this.manifest.shards[shard];
    const file = files.image;
    const where = this.files.where(file.file);
    const load = () =>
      this.limited(async () => {
        const bytes = content ?? (await this.files.read(file.file));
        requireSame(bytes, file, where);
        if (!file.grid) return parseNpy(bytes, "|u1", where);
        const { size } = this.manifest.settings.pixels;
        return decodeSprite(bytes, { grid: file.grid, size, rows }, where);
      });
    return this.cache.get(imageKey(shard), load, (images) => images.byteLength);
  }

  /**
   * Reads some images of an `.npy` file.
   *
   * @param {number} shard
   * @param {number[]} rows
   * @returns {Promise<Map<number, Uint8Array> | null>} By row; null if the server sent the whole file.
   */
  async #readParts(shard, rows) {
    const { files, rows: count } = this.manifest.shards[shard];
    const file = files.image;
    const size = this.imageBytes;
    const first = file.bytes - count * size; // behind the header
    const runs = joined(rows, Math.floor(this.files.joinGap / size));
    /** @type {[number, number][]} */
    const ranges = runs.map(([begin, end]) => [first + begin * size, first + end * size]);
    const [parts, checksums] = await Promise.all([
      this.files.readRanges(file.file, ranges),
      this.fixed(shard, "image_crc32"),
    ]);
    if (parts instanceof Uint8Array) {
      await this.#whole(shard, parts);
      return null;
    }
    /** @type {Map<number, Uint8Array>} */
    const images = new Map();
    for (const row of new Set(rows)) {
      const run = runs.findIndex(([begin, end]) => begin <= row && row < end);
      const image = imageAt(parts[run], row - runs[run][0], size);
      if (crc32(image) !== checksums[row]) throw damaged(this.files.where(file.file));
      images.set(row, image);
    }
    return images;
  }

  /**
   * @param {FileEntry} file
   * @param {string} dtype
   */
  async #npy(file, dtype) {
    const where = this.files.where(file.file);
    const bytes = await this.files.read(file.file);
    requireSame(bytes, file, where);
    return parseNpy(bytes, dtype, where);
  }
}

/** @param {number} shard */
function imageKey(shard) {
  return `${shard} image`;
}

/**
 * @param {Uint8Array} images
 * @param {number} row
 * @param {number} size
 */
function imageAt(images, row, size) {
  return images.subarray(row * size, (row + 1) * size);
}

/**
 * Runs of rows, [first, last + 1], that hold all `rows`, with gaps of at most `gap` rows.
 *
 * @param {number[]} rows
 * @param {number} gap
 */
function joined(rows, gap) {
  /** @type {[number, number][]} */
  const runs = [];
  for (const row of Int32Array.from(rows).sort()) {
    const last = runs[runs.length - 1];
    if (last && row - last[1] <= gap) last[1] = Math.max(last[1], row + 1);
    else runs.push([row, row + 1]);
  }
  return runs;
}
