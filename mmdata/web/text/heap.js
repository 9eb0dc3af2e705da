/**
 * A queue that gives the smallest item first.
 *
 * @template T
 */
export class Heap {
  /** @type {T[]} */
  #items = [];
  #compare;

  /** @param {(one: T, other: T) => number} compare Negative if the first is smaller. */
  constructor(compare) {
    this.#compare = compare;
  }

  /** @param {T} item */
  push(item) {
    const items = this.#items;
    let place = items.length;
    items.push(item);
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (this.#compare(items[parent], item) <= 0) break;
      items[place] = items[parent];
      place = parent;
    }
    items[place] = item;
  }

  /** @returns {T | undefined} The smallest item, which is removed; undefined if there is no item. */
  pop() {
    const items = this.#items;
    const first = items[0];
    const last = items.pop();
    if (items.length === 0 || last === undefined) return first;
    let place = 0;
    for (let child = 1; child < items.length; child = 2 * place + 1) {
      if (child + 1 < items.length && this.#compare(items[child + 1], items[child]) < 0) child++;
      if (this.#compare(last, items[child]) <= 0) break;
      items[place] = items[child];
      place = child;
    }
    items[place] = last;
    return first;
  }
}
