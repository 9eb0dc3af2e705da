/** Limits how much runs at once. */

/**
 * Runs at most `count` tasks at once; others wait for their turn.
 *
 * @param {number} count
 * @returns {<T>(task: () => Promise<T>) => Promise<T>}
 */
export function limit(count) {
  let running = 0;
  /** @type {(() => void)[]} */
  const waiting = [];
  return async (task) => {
    if (running < count) running++;
    else await new Promise((resolve) => waiting.push(() => resolve(undefined)));
    try {
      return await task();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}
