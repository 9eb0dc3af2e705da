/** Values in memory, up to a number of bytes; those that were not used for longest leave first. */

/** @typedef {{ value: Promise<any>, bytes: number }} Entry */

export class Cache {
  /** @param {number} limit Bytes, >= 0. A value above it is not kept. */
  constructor(limit) {
    this.limit = limit;
    this.bytes = 0;
    /** @type {Map<string, Entry>} Oldest use first. */
    this.entries = new Map();
  }

  /**
   * The value of a key; loads it if it is not here. Whoever asks while it loads gets the same value.
   * A value that fails to load is not kept.
   *
   * @template T
   * @param {string} key
   * @param {() => Promise<T>} load
   * @param {(value: T) => number} bytesOf
   * @returns {Promise<T>}
   */
  get(key, load, bytesOf) {
    const known = this.entries.get(key);
    if (known) {
      this.entries.delete(key);
      this.entries.set(key, known);
      return known.value;
    }
    const entry = { value: load(), bytes: 0 };
    this.entries.set(key, entry);
    entry.value.then(
      (value) => this.#keep(key, entry, bytesOf(value)),
      () => this.#remove(key, entry),
    );
    return entry.value;
  }

  /** @param {string} key */
  has(key) {
    return this.entries.has(key);
  }

  clear() {
    this.entries.clear();
    this.bytes = 0;
  }

  /**
   * @param {string} key
   * @param {Entry} entry
   * @param {number} bytes
   */
  #keep(key, entry, bytes) {
    if (this.entries.get(key) !== entry) return;
    entry.bytes = bytes;
    this.bytes += bytes;
    for (const [oldest, { bytes: size }] of this.entries) {
      if (this.bytes <= this.limit) return;
      if (size) this.#remove(oldest, this.entries.get(oldest));
    }
  }

  /**
   * @param {string} key
   * @param {Entry | undefined} entry
   */
  #remove(key, entry) {
    if (!entry || this.entries.get(key) !== entry) return;
    this.entries.delete(key);
    this.bytes -= entry.bytes;
  }
}
