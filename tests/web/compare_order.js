import { Order, captionNumber } from "../../mmdata/web/loader/order.js";

/**
 * How many of the orders differ from what Python made of them.
 *
 * @param {any[]} drawn Fields of an order, a step, and its results in Python.
 * @returns {{ compared: number, different: number }}
 */
export function compare(drawn) {
  let different = 0;
  for (const { fields, step, epoch, indices, number } of drawn) {
    const order = new Order(fields);
    const ours = [...order.indices(step), order.epoch(step)];
    const same = JSON.stringify(ours) === JSON.stringify([...indices, epoch]);
    if (!same || captionNumber(indices[0], fields.seed, epoch) !== number) different += 1;
  }
  return { compared: drawn.length, different };
}
