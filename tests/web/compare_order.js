// Reads orders and what Python made of them, and prints how many differ.
// node compare_order.js FILE
import { readFileSync } from "node:fs";
import { Order, captionNumber } from "../../mmdata/web/loader/order.js";

const drawn = JSON.parse(readFileSync(process.argv[2], "utf-8"));
let different = 0;
for (const { fields, step, epoch, indices, number } of drawn) {
  const order = new Order(fields);
  const ours = [...order.indices(step), order.epoch(step)];
  const same = JSON.stringify(ours) === JSON.stringify([...indices, epoch]);
  if (!same || captionNumber(indices[0], fields.seed, epoch) !== number) different += 1;
}
console.log(JSON.stringify({ compared: drawn.length, different }));
