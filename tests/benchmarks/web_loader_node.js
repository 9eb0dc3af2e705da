/** Times mmdata.js in Node; called by web_loader.py with the folder of the site. */

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import zlib from "node:zlib";

const [site, rounds] = [process.argv[2], Number(process.argv[3])];
const { open } = await import(String(pathToFileURL(join(site, "mmdata/mmdata.js"))));
const MEGABYTE = 2 ** 20;

/**
 * Seconds for an epoch of batches of 32, from opening the data on.
 *
 * @param {string} encoding
 * @param {object} options
 * @param {object} batches
 */
async function epoch(encoding, options, batches) {
  const data = await open(join(site, encoding), options);
  let images = 0;
  const begin = performance.now();
  for await (const batch of data.batches({ batchSize: 32, ...batches }))
    images += batch.rows.length;
  const seconds = (performance.now() - begin) / 1e3;
  data.close();
  return { images, seconds };
}

/** Seconds in which zlib inflates all sprites, one after another. */
async function inflateAll() {
  const folder = join(site, "png");
  const names = readdirSync(folder).filter((name) => name.endsWith(".png"));
  const streams = names.map((name) => {
    const file = readFileSync(join(folder, name));
    const begin = file.indexOf("IDAT") + 4;
    return file.subarray(begin, begin + file.readUInt32BE(begin - 8));
  });
  const inflate = promisify(zlib.inflate);
  const begin = performance.now();
  for (const stream of streams) await inflate(stream, { chunkSize: 8 * MEGABYTE });
  return { images: 0, seconds: (performance.now() - begin) / 1e3 };
}

/** @type {Record<string, () => Promise<{ images: number, seconds: number }>>} */
const cases = {
  "npy, shuffled": () => epoch("npy", {}, {}),
  "npy, shuffled, without a cache": () => epoch("npy", { cacheBytes: 0 }, {}),
  "npy, shuffled, Worker": () => epoch("npy", { worker: true }, {}),
  "npy, float32": () => epoch("npy", {}, { normalize: true }),
  "png, shuffled": () => epoch("png", { cacheBytes: 1024 * MEGABYTE }, {}),
  "png, blocks": () => epoch("png", {}, { shuffle: "blocks" }),
  "png, in order": () => epoch("png", {}, { shuffle: false }),
  "zlib's inflate of all sprites": inflateAll,
};
/** @type {Record<string, { images: number, seconds: number }[]>} */
const found = Object.fromEntries(Object.keys(cases).map((name) => [name, []]));
for (let round = 0; round <= rounds; round++) {
  for (const [name, run] of Object.entries(cases)) {
    const result = await run();
    if (round) found[name].push(result); // the first round warms up
  }
}
console.log(JSON.stringify(found));
