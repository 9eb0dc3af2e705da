/** Reads all shards of an export seven times; prints the memory of the process after each time. */

import { pathToFileURL } from "node:url";

const [module, folder, shuffle] = process.argv.slice(2);
const { open } = await import(String(pathToFileURL(module)));
const data = await open(folder, { cacheBytes: 8 * 1024 * 1024 });
const measured = [];
for (let epoch = 0; epoch < 7; epoch++) {
  let sum = 0;
  const options = { at: epoch * data.stepsPerEpoch(), shuffle: JSON.parse(shuffle) };
  for await (const { images } of data.batches(options)) sum += images[0];
  globalThis.gc?.();
  measured.push(process.memoryUsage().rss, sum);
}
console.log(JSON.stringify(measured.filter((_, i) => i % 2 === 0)));
