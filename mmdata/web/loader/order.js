/**
 * The order of an epoch: step -> indices of its batch. A pure function of integers; no buffer.
 *
 * The same numbers as Python's `mmdata/sampling/order.py` and `mmdata/seeding.py`, and the same
 * names: all arithmetic is on 32 bits. A step counts batches from the start of training, so
 * epoch = floor(step / stepsPerEpoch).
 *
 * Sources: lowbias32, https://github.com/skeeto/hash-prospector; Black and Rogaway 2002, "Ciphers
 * with arbitrary finite domains" (generalized Feistel network, cycle walking).
 */

/** @typedef {number | bigint | string} Seed An integer; above 2^53 as a BigInt or in digits. */

const WORD = 2 ** 32;
const STEP = 0x9e3779b9;
const ROUNDS = 24;
const ROUNDS_OF_MANY = 12;
const MANY = 256;
const ROUNDS_OF_NUMBERS = 3;
const LARGEST = 2 ** 31 - 1;

/** What numbers are for: those of two purposes are independent. */
const PURPOSE = { order: 0, batches: 1, blocks: 2, windows: 3, captions: 4 };

/**
 * Hashes a number: a bijection of all 32-bit integers.
 *
 * @param {number} number An integer, of which 32 bits count.
 * @returns {number} 0 to 2^32 - 1.
 */
function mix(number) {
  let mixed = number ^ (number >>> 16);
  mixed = Math.imul(mixed, 0x7feb352d);
  mixed ^= mixed >>> 15;
  mixed = Math.imul(mixed, 0x846ca68b);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/**
 * The low and the high 32 bits of an integer.
 *
 * @param {Seed} integer
 * @returns {[number, number]}
 */
function wordsOf(integer) {
  const bits = BigInt.asUintN(64, BigInt(integer));
  return [Number(bits & 0xffffffffn), Number(bits >> 32n)];
}

/**
 * Keys that are a function of (seed, epoch, purpose).
 *
 * @param {number} count The first keys do not depend on it.
 * @param {[number, number]} seed Its low and high 32 bits.
 * @param {number} epoch 0 to 2^53.
 * @param {number} purpose
 * @returns {Uint32Array} [count]
 */
function keysOf(count, seed, epoch, purpose) {
  const words = [...seed, epoch % WORD, Math.floor(epoch / WORD), purpose];
  return Uint32Array.from({ length: count }, (_, number) =>
    words.reduce((hashed, word) => mix((hashed + STEP) ^ word), number),
  );
}

/**
 * Where a permutation of 0 to `count - 1` puts a place.
 *
 * Puts it at a row and a column of a table with at least `count` cells. Each round moves the cell
 * in its column by a hash of the column, or in its row by a hash of the row. A place that leaves the
 * range moves on until it returns.
 *
 * @param {number} place 0 to `count - 1`.
 * @param {number} count 1 to 2^31 - 1.
 * @param {Uint32Array} keys One for each round, an even number.
 * @returns {number} 0 to `count - 1`.
 */
export function permuted(place, count, keys) {
  let rows = Math.ceil(Math.sqrt(count));
  rows += rows % 2; // in an odd number of rows and columns, all moves would be even
  const columns = Math.ceil(count / rows);
  let moved = place;
  do {
    let row = Math.floor(moved / columns);
    let column = moved - row * columns;
    for (let round = 0; round < keys.length; round += 2) {
      row += mix(column ^ keys[round]) % rows;
      if (row >= rows) row -= rows;
      column += mix(row ^ keys[round + 1]) % columns;
      if (column >= columns) column -= columns;
    }
    moved = row * columns + column;
  } while (moved >= count);
  return moved;
}

/** The permutation of an epoch: keeps its keys. */
class Permutation {
  /**
   * @param {number} count 1 to 2^31 - 1.
   * @param {[number, number]} seed Its low and high 32 bits.
   * @param {number} epoch
   * @param {number} purpose
   */
  constructor(count, seed, epoch, purpose) {
    this.count = count;
    this.keys = keysOf(count < MANY ? ROUNDS : ROUNDS_OF_MANY, seed, epoch, purpose);
  }

  /** @param {number} place */
  at(place) {
    return permuted(place, this.count, this.keys);
  }
}

/** Blocks in the order of an epoch, some at a time, with their indices permuted together. */
class Windows {
  /**
   * @param {ArrayLike<number>} sizes The number of indices of each block.
   * @param {number} window Number of blocks that are permuted together.
   * @param {[number, number]} seed Its low and high 32 bits.
   * @param {number} epoch
   */
  constructor(sizes, window, seed, epoch) {
    const blocks = new Permutation(sizes.length, seed, epoch, PURPOSE.blocks);
    const firsts = beginsOf(sizes);
    const order = Array.from(sizes, (_, place) => blocks.at(place));
    this.firsts = order.map((block) => firsts[block]);
    this.begins = beginsOf(order.map((block) => sizes[block]));
    this.borders = this.begins.filter((_, place) => place % window === 0 || place === order.length);
    this.keys = keysOf(ROUNDS, seed, epoch, PURPOSE.windows);
    this.keysOfWindow = new Uint32Array(ROUNDS);
    this.window = -1;
  }

  /** @param {number} place */
  at(place) {
    const window = lastAtMost(this.borders, place);
    if (window !== this.window) {
      this.window = window;
      for (let round = 0; round < ROUNDS; round++) {
        this.keysOfWindow[round] = mix(this.keys[round] ^ window);
      }
    }
    const begin = this.borders[window];
    const count = this.borders[window + 1] - begin;
    const moved = begin + permuted(place - begin, count, this.keysOfWindow);
    const turn = lastAtMost(this.begins, moved);
    return this.firsts[turn] + moved - this.begins[turn];
  }
}

/**
 * Where each of some parts begins, and the end.
 *
 * @param {ArrayLike<number>} sizes
 * @returns {Float64Array} [sizes.length + 1]
 */
function beginsOf(sizes) {
  const begins = new Float64Array(sizes.length + 1);
  for (let part = 0; part < sizes.length; part++) begins[part + 1] = begins[part] + sizes[part];
  return begins;
}

/**
 * The last place in ascending numbers whose number is at most `number`.
 *
 * @param {Float64Array} ascending The first one is at most `number`.
 * @param {number} number
 */
function lastAtMost(ascending, number) {
  let low = 0;
  let high = ascending.length;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (ascending[middle] <= number) low = middle;
    else high = middle;
  }
  return low;
}

/**
 * The indices out of 0 to `count - 1` that each step takes. An epoch takes each index once.
 *
 * The last batch of an epoch, or of each bucket, is short if `batchSize` does not divide the number
 * of indices. With `remainder` "drop" or "wrap", an epoch misses or repeats some indices.
 */
export class Order {
  /**
   * @param {object} fields
   * @param {number} fields.count Number of indices, 1 to 2^31 - 1.
   * @param {number} fields.batchSize Indices of a step, at least 1.
   * @param {boolean} [fields.shuffle] Whether each epoch has another permutation; false takes
   *   indices in ascending order.
   * @param {Seed} [fields.seed] The permutations are a function of (seed, epoch).
   * @param {ArrayLike<number>} [fields.blocks] The number of indices of each block, `count` in
   *   total. If shuffled, each epoch takes the blocks in another order, `window` at a time, and
   *   permutes the indices of these. Empty permutes all indices.
   * @param {number} [fields.window] Number of blocks that are permuted together, at least 1.
   * @param {"keep" | "drop" | "wrap"} [fields.remainder] "keep" keeps a short batch, "drop" leaves
   *   it out, "wrap" fills it with the first indices of its bucket in the same epoch.
   * @param {ArrayLike<number>} [fields.buckets] The number of indices of each bucket, `count` in
   *   total: no batch mixes the first `buckets[0]` indices with the next `buckets[1]`, and so on.
   */
  constructor({
    count,
    batchSize,
    shuffle = true,
    seed = 0,
    blocks = [],
    window = 8,
    remainder = "keep",
    buckets = [],
  }) {
    requireInteger("count", count, 1, LARGEST);
    requireInteger("batchSize", batchSize, 1, LARGEST);
    requireInteger("window", window, 1, LARGEST);
    if (!["keep", "drop", "wrap"].includes(remainder)) {
      throw new RangeError(
        `Order: remainder must be "keep", "drop" or "wrap"; got ${JSON.stringify(remainder)}.`,
      );
    }
    requireParts("blocks", blocks, count);
    requireParts("buckets", buckets, count);
    if (blocks.length && buckets.length) {
      throw new RangeError(
        "Order: blocks and buckets exclude each other, so leave one empty; got " +
          `${blocks.length} blocks and ${buckets.length} buckets.`,
      );
    }
    this.count = count;
    this.batchSize = batchSize;
    this.shuffle = shuffle;
    this.remainder = remainder;
    this._seed = wordsOf(seed);
    this._blocks = blocks;
    this._window = window;
    this._hasBuckets = buckets.length > 0;
    this._sizes = this._hasBuckets ? buckets : [count];
    this._firsts = beginsOf(this._sizes);
    const short = remainder === "drop" ? 0 : batchSize - 1;
    this._steps = beginsOf(
      Array.from(this._sizes, (size) => Math.floor((size + short) / batchSize)),
    );
    /** Number of batches of an epoch. */
    this.stepsPerEpoch = this._steps[this._sizes.length];
    this._requireBatches();
    this._epoch = -1;
    /** @type {{ at(place: number): number }[]} The permutation of each bucket in `_epoch`. */
    this._permutations = [];
    /** @type {{ at(place: number): number } | null} */
    this._batches = null;
  }

  _requireBatches() {
    if (!this.stepsPerEpoch) {
      throw new RangeError(
        `Order: remainder "drop" leaves no batch of ${this.batchSize} out of ` +
          `${Math.max(...Array.from(this._sizes))} indices. Choose a smaller batchSize, or "keep".`,
      );
    }
    const least = Math.min(...Array.from(this._sizes));
    if (this.remainder === "wrap" && least < this.batchSize) {
      throw new RangeError(
        `Order: remainder "wrap" would take an index twice in one batch of ${this.batchSize}: ` +
          `there are ${least} indices. Choose a smaller batchSize, or "keep".`,
      );
    }
  }

  /**
   * The epoch of a step.
   *
   * @param {number} step 0 to 2^53 - 1.
   */
  epoch(step) {
    requireInteger("step", step, 0, Number.MAX_SAFE_INTEGER);
    return (step - (step % this.stepsPerEpoch)) / this.stepsPerEpoch;
  }

  /**
   * The indices of a step.
   *
   * @param {number} step 0 to 2^53 - 1.
   * @returns {Int32Array} [b], each from 0 to `count - 1`.
   */
  indices(step) {
    const epoch = this.epoch(step);
    if (this.shuffle && epoch !== this._epoch) this._shuffle(epoch);
    let batch = step % this.stepsPerEpoch;
    if (this.shuffle && this._batches) batch = this._batches.at(batch);
    const bucket = lastAtMost(this._steps, batch);
    const [size, first] = [this._sizes[bucket], this._firsts[bucket]];
    const begin = (batch - this._steps[bucket]) * this.batchSize;
    const end = begin + this.batchSize;
    const length = this.remainder === "keep" ? Math.min(end, size) - begin : this.batchSize;
    const permutation = this.shuffle ? this._permutations[bucket] : null;
    const indices = new Int32Array(length);
    for (let i = 0; i < length; i++) {
      const place = (begin + i) % size;
      indices[i] = first + (permutation ? permutation.at(place) : place);
    }
    return indices;
  }

  /** @param {number} epoch */
  _shuffle(epoch) {
    const seed = this._seed;
    this._epoch = epoch;
    if (this._blocks.length) {
      this._permutations = [new Windows(this._blocks, this._window, seed, epoch)];
      return;
    }
    this._permutations = Array.from(
      this._sizes,
      (size) => new Permutation(size, seed, epoch, PURPOSE.order),
    );
    if (this._hasBuckets) {
      this._batches = new Permutation(this.stepsPerEpoch, seed, epoch, PURPOSE.batches);
    }
  }
}

/** @type {{ seed: Seed, epoch: number, keys: Uint32Array }} The keys that were used last. */
let last = { seed: 0, epoch: -1, keys: new Uint32Array() };

/**
 * A random number that chooses a caption of an index: a function of (seed, epoch, index).
 *
 * @param {number} index 0 to 2^32 - 1.
 * @param {Seed} seed
 * @param {number} epoch 0 to 2^53.
 * @returns {number} 0 to 2^32 - 1.
 */
export function captionNumber(index, seed, epoch) {
  if (last.seed !== seed || last.epoch !== epoch) {
    const keys = keysOf(ROUNDS_OF_NUMBERS, wordsOf(seed), epoch, PURPOSE.captions);
    last = { seed, epoch, keys };
  }
  return last.keys.reduce((mixed, key) => mix(mixed ^ key), index);
}

/**
 * @param {string} name
 * @param {unknown} value
 * @param {number} least
 * @param {number} most
 */
function requireInteger(name, value, least, most) {
  if (!Number.isSafeInteger(value) || Number(value) < least || Number(value) > most) {
    throw new RangeError(
      `Order: ${name} must be an integer from ${least} to ${most}; got ${String(value)}.`,
    );
  }
}

/**
 * @param {string} name
 * @param {ArrayLike<number>} sizes
 * @param {number} count
 */
function requireParts(name, sizes, count) {
  if (!sizes.length) return;
  const all = Array.from(sizes);
  const sum = all.reduce((total, size) => total + size, 0);
  if (sum !== count || !all.every((size) => Number.isSafeInteger(size) && size >= 1)) {
    throw new RangeError(
      `Order: ${name} must be integers of at least 1, ${count} in all; got ${all.length} ` +
        `numbers, ${sum} in all.`,
    );
  }
}
