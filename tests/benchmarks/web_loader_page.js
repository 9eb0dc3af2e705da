/** Times mmdata.js in a page, beside the usual code for TensorFlow.js; see web_loader.py. */

import { open, tfDataset } from "./mmdata/mmdata.js";

const tf = /** @type {any} */ (globalThis).tf;

/**
 * Takes all elements of a dataset, as a training would.
 *
 * @param {any} dataset
 * @param {(element: any) => any} imagesOf
 */
async function epoch(dataset, imagesOf) {
  let images = 0;
  const begin = performance.now();
  await dataset.forEachAsync((/** @type {any} */ element) => {
    images += imagesOf(element).shape[0];
    tf.dispose(element);
  });
  return { images, seconds: (performance.now() - begin) / 1e3 };
}

/**
 * @param {string} encoding
 * @param {object} options
 */
async function ours(encoding, options) {
  const data = await open(encoding, options);
  const dataset = tfDataset(tf, data, { split: "train", batchSize: 32 });
  const result = await epoch(dataset, ({ xs }) => xs.images ?? xs);
  data.close();
  return result;
}

/**
 * One file for each picture, decoded by the browser.
 *
 * @param {number} count
 */
async function usual(count) {
  async function* pictures() {
    for (let i = 0; i < count; i++) {
      const image = new Image();
      image.src = `pictures/${i}.png`;
      await image.decode();
      yield tf.tidy(() => tf.div(tf.browser.fromPixels(image), 255));
    }
  }
  const dataset = tf.data.generator(pictures).shuffle(256).batch(32).prefetch(2);
  return epoch(dataset, (images) => images);
}

/**
 * @param {number} count Of pictures with a file of their own.
 * @param {number} rounds
 */
export async function measure(count, rounds) {
  await tf.setBackend("cpu");
  /** @type {Record<string, () => Promise<{ images: number, seconds: number }>>} */
  const cases = {
    "tf.data.generator, fromPixels": () => usual(count),
    npy: () => ours("npy", {}),
    "npy, Worker": () => ours("npy", { worker: true }),
    png: () => ours("png", { cacheBytes: 2 ** 30 }),
    "png, Worker": () => ours("png", { cacheBytes: 2 ** 30, worker: true }),
  };
  /** @type {Record<string, { images: number, seconds: number }[]>} */
  const found = Object.fromEntries(Object.keys(cases).map((name) => [name, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const [name, run] of Object.entries(cases)) {
      const result = await run();
      if (round) found[name].push(result); // the first round warms up
    }
  }
  return found;
}
