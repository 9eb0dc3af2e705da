/** Rounding as in Python. */

/**
 * The nearest whole number; of two, the even one.
 *
 * @param {number} value
 */
export function halfToEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below;
}
