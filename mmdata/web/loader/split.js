/** The examples of a split: index of an epoch -> shard, row and caption. */

import { captionNumber, Order } from "./order.js";

/** @typedef {import("../mmdata.d.ts").Manifest} Manifest */

export class Split {
  /**
   * @param {Manifest} manifest
   * @param {{ split: string, batchSize: number, seed: string, shuffle: boolean | "blocks" }} options
   */
  constructor(manifest, { split, batchSize, seed, shuffle }) {
    const { splits, task, order } = manifest.settings;
    const settings = splits[split];
    this.choice = task.captions;
    this.seed = seed;
    this.isEvaluation = settings.evaluation;
    this.firstShard = manifest.shards.findIndex((shard) => shard.split === split);
    const shards = manifest.shards.filter((shard) => shard.split === split);
    this.firstRows = starts(shards.map(({ rows }) => rows));
    const counts = shards.map((shard) => (this.choice === "all" ? shard.captions : shard.rows));
    this.firstItems = starts(counts);
    const blocks = shuffle === "blocks" && !this.isEvaluation;
    this.shardsInUse = !shuffle || this.isEvaluation ? 1 : blocks ? order.window : shards.length;
    this.order = new Order({
      count: this.firstItems[shards.length],
      batchSize,
      seed,
      shuffle: Boolean(shuffle) && !this.isEvaluation,
      remainder: this.isEvaluation ? "keep" : order.remainder,
      blocks: blocks ? counts : [],
      window: order.window,
    });
  }

  get stepsPerEpoch() {
    return this.order.stepsPerEpoch;
  }

  /**
   * @param {number} step
   * @returns {ArrayLike<number>}
   */
  indices(step) {
    return this.order.indices(step);
  }

  /**
   * The shard of an index of the epoch: its number in the manifest.
   *
   * @param {number} index
   */
  shardOf(index) {
    return this.firstShard + placeOf(index, this.firstItems);
  }

  /**
   * The first index of a shard.
   *
   * @param {number} shard
   */
  firstItem(shard) {
    return this.firstItems[shard - this.firstShard];
  }

  /**
   * The first row of a shard, in the split.
   *
   * @param {number} shard
   */
  firstRow(shard) {
    return this.firstRows[shard - this.firstShard];
  }

  /**
   * The row and the caption of an example, counted in its shard.
   *
   * @param {{ item: number, index: number, epoch: number }} example Its place in the shard and in the
   *   epoch.
   * @param {Uint32Array | null} starts The first caption of each row; null without captions.
   * @param {import("./shards.js").Ragged | null} captions
   * @returns {{ row: number, caption: number }}
   */
  choose({ item, index, epoch }, starts, captions) {
    if (!starts || !captions) return { row: item, caption: 0 };
    if (this.choice === "all") return { row: placeOf(item, starts), caption: item };
    const [first, count] = [starts[item], starts[item + 1] - starts[item]];
    return { row: item, caption: first + this.#choice(first, count, index, epoch, captions) };
  }

  /**
   * @param {number} first
   * @param {number} count
   * @param {number} index
   * @param {number} epoch
   * @param {import("./shards.js").Ragged} captions
   */
  #choice(first, count, index, epoch, { offsets }) {
    const same = this.isEvaluation ? 0 : epoch;
    if (this.choice === "cycle") return (index + same) % count;
    if (this.choice === "random") return captionNumber(index, this.seed, same) % count;
    if (this.choice !== "longest") return 0;
    let longest = 0;
    const size = (/** @type {number} */ i) => offsets[first + i + 1] - offsets[first + i];
    for (let i = 1; i < count; i++) if (size(i) > size(longest)) longest = i;
    return longest;
  }
}

/**
 * [0, a, a + b, ...]
 *
 * @param {number[]} counts
 */
function starts(counts) {
  const result = [0];
  for (const count of counts) result.push(result[result.length - 1] + count);
  return result;
}

/**
 * The last place whose value is at most `value`.
 *
 * @param {number} value
 * @param {ArrayLike<number>} ascending
 */
function placeOf(value, ascending) {
  let [low, high] = [0, ascending.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (ascending[middle] <= value) low = middle;
    else high = middle;
  }
  return low;
}
