/** Reads the next batches while the caller uses one. */

const AHEAD = 2;

/**
 * @template T
 * @param {Iterator<number>} steps
 * @param {(step: number) => Promise<T>} load
 * @returns {AsyncGenerator<T, void, void>}
 */
export async function* readAhead(steps, load) {
  /** @type {Promise<T>[]} */
  const ahead = [];
  const start = () => {
    const { done, value } = steps.next();
    if (done) return;
    const loading = load(value);
    loading.catch(() => {}); // reported when its turn comes; nobody asks for it after a break
    ahead.push(loading);
  };
  for (let i = 0; i < AHEAD; i++) start();
  for (;;) {
    const next = ahead.shift();
    if (!next) return;
    start();
    yield await next;
  }
}
