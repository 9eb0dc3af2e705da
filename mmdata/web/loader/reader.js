/** Step -> batch. */

import { zeros } from "./npy.js";
import { normalize } from "../pictures/normalize.js";
import { pack } from "../text/pack.js";
import { Shards } from "./shards.js";
import { Split } from "./split.js";

/**
 * @typedef {import("../mmdata.d.ts").Batch} Batch
 * @typedef {import("../mmdata.d.ts").Manifest} Manifest
 *
 * @typedef {object} Request
 * @property {string} split
 * @property {number} batchSize
 * @property {string} seed
 * @property {boolean | "blocks"} shuffle
 * @property {boolean} normalize
 * @property {number} at The step; for `examples`, the number of examples before the first one.
 *
 * @typedef {object} Examples What a batch is made of.
 * @property {Uint8Array} images
 * @property {Int32Array} rows
 * @property {Record<string, any>} columns Typed arrays, by their names in the manifest.
 * @property {ArrayLike<number>[]} ids
 * @property {string[]} captions
 * @property {string[]} fileNames
 */

const DECODER = new TextDecoder();

export class Reader {
  /**
   * @param {import("./files.js").Files} files
   * @param {Manifest} manifest
   * @param {number} cacheBytes
   */
  constructor(files, manifest, cacheBytes) {
    this.manifest = manifest;
    this.shards = new Shards(files, manifest, cacheBytes);
    /** @type {Map<string, Split>} */
    this.splits = new Map();
    this.fixedColumns = Object.keys(manifest.columns).filter(
      (name) =>
        manifest.columns[name].kind === "fixed" &&
        !["image", "image_crc32", "caption_count"].includes(name),
    );
  }

  /**
   * The batch of a step.
   *
   * @param {Request} request
   * @returns {Promise<Batch>}
   */
  batch(request) {
    const split = this.#split(request);
    const epoch = Math.floor(request.at / split.stepsPerEpoch);
    return this.#read(split, split.indices(request.at), [epoch], request);
  }

  /**
   * The `batchSize` examples from position `at` in all epochs, one after another.
   *
   * @param {Request} request
   * @returns {Promise<Batch>}
   */
  examples(request) {
    const split = this.#split({ ...request, batchSize: 1 });
    const at = Array.from({ length: request.batchSize }, (_, i) => request.at + i);
    const epochs = at.map((position) => Math.floor(position / split.stepsPerEpoch));
    const indices = at.map((position) => split.indices(position)[0]);
    return this.#read(split, indices, epochs, request);
  }

  close() {
    this.shards.cache.clear();
  }

  /** @param {Request} request */
  #split({ split, batchSize, seed, shuffle }) {
    const key = JSON.stringify([split, batchSize, seed, shuffle]);
    const known =
      this.splits.get(key) ?? new Split(this.manifest, { split, batchSize, seed, shuffle });
    this.splits.set(key, known);
    return known;
  }

  /**
   * @param {Split} split
   * @param {ArrayLike<number>} indices
   * @param {number[]} epochs One for each index, or one for all.
   * @param {Request} request
   */
  async #read(split, indices, epochs, request) {
    const examples = this.#empty(indices.length);
    /** @type {Map<number, number[]>} */
    const groups = new Map(); // shard -> places in the batch
    for (let place = 0; place < indices.length; place++) {
      const shard = split.shardOf(indices[place]);
      groups.get(shard)?.push(place) ?? groups.set(shard, [place]);
    }
    await Promise.all(
      [...groups].map(([shard, places]) =>
        this.#fill(
          examples,
          shard,
          places,
          places.map((place) => ({
            item: indices[place] - split.firstItem(shard),
            index: indices[place],
            epoch: epochs[place] ?? epochs[0],
          })),
          split,
        ),
      ),
    );
    return this.#batch(examples, epochs[0], request);
  }

  /**
   * @param {number} count
   * @returns {Examples}
   */
  #empty(count) {
    const { columns } = this.manifest;
    return {
      images: new Uint8Array(count * this.shards.imageBytes),
      rows: new Int32Array(count),
      columns: Object.fromEntries(
        this.fixedColumns.map((name) => [name, zeros(columns[name].dtype, count)]),
      ),
      ids: "token_ids" in columns ? new Array(count) : [],
      captions: "captions" in columns ? new Array(count) : [],
      fileNames: "file_name" in columns ? new Array(count) : [],
    };
  }

  /**
   * Fills in the examples of one shard.
   *
   * @param {Examples} examples
   * @param {number} shard
   * @param {number[]} places In the batch.
   * @param {{ item: number, index: number, epoch: number }[]} items
   * @param {Split} split
   */
  async #fill(examples, shard, places, items, split) {
    const { columns } = this.manifest;
    const hasCaptions = "captions" in columns;
    const starts = hasCaptions ? await this.shards.captionStarts(shard) : null;
    const captions = hasCaptions ? await this.shards.ragged(shard, "captions") : null;
    const chosen = items.map((item) => split.choose(item, starts, captions));
    const rows = chosen.map(({ row }) => row);
    const ids = "token_ids" in columns ? await this.shards.ragged(shard, "token_ids") : null;
    const names = "file_name" in columns ? await this.shards.ragged(shard, "file_name") : null;
    const fixed = await Promise.all(
      this.fixedColumns.map((name) => this.shards.fixed(shard, name)),
    );
    chosen.forEach(({ row, caption }, i) => {
      const place = places[i];
      examples.rows[place] = split.firstRow(shard) + row;
      if (captions) examples.captions[place] = DECODER.decode(itemOf(captions, caption));
      if (ids) examples.ids[place] = itemOf(ids, caption);
      if (names) examples.fileNames[place] = DECODER.decode(itemOf(names, row));
      this.fixedColumns.forEach((name, column) => {
        examples.columns[name][place] = fixed[column][row];
      });
    });
    await this.shards.copyImages(shard, rows, places, examples.images, split.shardsInUse);
  }

  /**
   * @param {Examples} examples
   * @param {number} epoch
   * @param {Request} request
   * @returns {Batch}
   */
  #batch({ images, rows, columns, ids, captions, fileNames }, epoch, request) {
    const { columns: kinds, settings } = this.manifest;
    const { size, channels, normalize: range } = settings.pixels;
    const { image_id: imageIds = rows.slice(), valid, weight, label, ...others } = columns;
    const weights = new Float32Array(rows.length).fill(1);
    if (weight) weights.set(weight);
    if (valid) weights.forEach((value, i) => (weights[i] = value * valid[i]));
    const named = Object.entries(others).map(([name, values]) => [
      name.replace("column:", ""),
      values,
    ]);
    return {
      step: request.at,
      epoch,
      images: request.normalize ? normalize(images, channels, range) : images,
      imageShape: [rows.length, size[0], size[1], channels],
      imageIds,
      rows,
      weights,
      columns: Object.fromEntries(named),
      ...(valid && { valid }),
      ...(label && { labels: label }),
      ...(settings.text && "token_ids" in kinds && pack(ids, settings.text)),
      ...("captions" in kinds && { captions }),
      ...("file_name" in kinds && { fileNames }),
    };
  }
}

/**
 * @param {import("./shards.js").Ragged} column
 * @param {number} item
 */
function itemOf({ values, offsets }, item) {
  return values.subarray(offsets[item], offsets[item + 1]);
}
