/** `tfDataset` and TensorFlow.js, in Node. */

import assert from "node:assert/strict";
import { test } from "node:test";
import * as tf from "@tensorflow/tfjs";
import { open, tfDataset, weightedAccuracy, weightedLoss } from "../../mmdata/web/mmdata.js";
import { newExport } from "./exports.js";

const WORDS = 20;

/** A small captioner: the next word from the last one and the image's colour. */
function captioner() {
  const image = tf.input({ shape: [8, 6, 3], name: "images" });
  const ids = tf.input({ shape: [6], name: "token_ids" });
  const words = tf.layers.embedding({ inputDim: WORDS, outputDim: 4 }).apply(ids);
  const colour = tf.layers.globalAveragePooling2d({}).apply(image);
  const both = tf.layers
    .concatenate()
    .apply(/** @type {any} */ ([words, tf.layers.repeatVector({ n: 6 }).apply(colour)]));
  const dense = tf.layers.dense({ units: WORDS, activation: "softmax" }).apply(both);
  return tf.model({ inputs: [image, ids], outputs: /** @type {any} */ (dense) });
}

/**
 * The first example's age of each batch, and the number of batches.
 *
 * @param {any} dataset
 */
async function rowsOf(dataset) {
  /** @type {number[][]} */
  const rows = [];
  await dataset.forEachAsync((/** @type {any} */ { xs }) => {
    rows.push([...xs.age.dataSync()]);
    tf.dispose(xs);
  });
  return rows;
}

test("an element is what the Keras task of captioning gives", async () => {
  const data = await open(newExport());
  const { value: batch } = await data.batches().next();
  const { value } = await (await tfDataset(tf, data).iterator()).next();
  assert.ok(batch?.tokenIds && batch.paddingMask);
  const width = 7;
  const cut = (/** @type {Int32Array} */ ids, /** @type {number} */ without) =>
    [...ids].filter((_, i) => i % width !== without);
  assert.deepEqual(Object.keys(value).sort(), ["sample_weight", "xs", "ys"]);
  assert.deepEqual(Object.keys(value.xs), ["images", "token_ids", "padding_mask", "age"]);
  assert.deepEqual([...value.xs.token_ids.dataSync()], cut(batch.tokenIds, 6));
  assert.deepEqual([...value.xs.padding_mask.dataSync()], cut(batch.paddingMask, 6));
  assert.deepEqual([...value.ys.dataSync()], cut(batch.tokenIds, 0));
  const [before, after] = [cut(batch.paddingMask, 6), cut(batch.paddingMask, 0)];
  const weights = before.map((mask, i) => mask * after[i] * batch.weights[Math.floor(i / 6)]);
  assert.deepEqual([...value.sample_weight.dataSync()], weights);
  assert.deepEqual(value.xs.images.shape, [4, 8, 6, 3]);
  assert.deepEqual(
    value.xs.images.dataSync(),
    Float32Array.from(batch.images, (v) => v / 255),
  );
  tf.dispose(value);
});

test("other tasks have their own elements", async () => {
  /** @type {[string, string[] | null, boolean][]} */
  const tasks = [
    ["prefix", ["images", "token_ids", "padding_mask", "response_mask", "age"], true],
    ["retrieval", ["images", "token_ids", "padding_mask", "image_id", "age"], false],
    ["text_to_image", ["images", "token_ids", "padding_mask", "weight", "age"], false],
    ["classification", ["images", "age"], true],
    ["prediction", ["images", "age"], false],
  ];
  for (const [name, keys, hasLabels] of tasks) {
    const data = await open(newExport({ task: { name } }), { tf });
    const { xs, ys } = await data.nextBatch(3);
    assert.deepEqual(Object.keys(xs), keys);
    assert.equal(ys !== undefined, hasLabels, name);
    tf.dispose([xs, ys]);
  }
  const data = await open(newExport({ task: { name: "classification", columns: [] } }), { tf });
  const { xs, ys } = await data.nextTrainBatch(3);
  assert.deepEqual([xs.shape, xs.dtype, ys.shape], [[3, 8, 6, 3], "float32", [3]]);
  tf.dispose([xs, ys]);
});

test("fitDataset takes it as it is, lowers the loss, and leaves no tensor", async () => {
  const data = await open(newExport());
  for (const weighted of [false, true]) {
    const model = captioner();
    model.compile({
      optimizer: tf.train.adam(0.05),
      loss: weighted ? weightedLoss(tf) : "sparseCategoricalCrossentropy",
      metrics: [weighted ? weightedAccuracy(tf) : "accuracy"],
    });
    /** @type {Set<number>} */
    const counts = new Set();
    const dataset = tfDataset(tf, data, { batchSize: 4, weighted }).repeat();
    const callbacks = { onBatchEnd: async () => void counts.add(tf.memory().numTensors) };
    await model.fitDataset(dataset, { epochs: 1, batchesPerEpoch: 5, verbose: 0 });
    const { history } = await model.fitDataset(dataset, {
      epochs: 1,
      batchesPerEpoch: weighted ? 100 : 1000,
      verbose: 0,
      callbacks,
    });
    assert.equal(counts.size, 1);
    const [loss] = /** @type {number[]} */ (history.loss);
    assert.ok(loss < Math.log(WORDS) * 0.7, String(loss));
    model.dispose();
  }
});

test("weightedLoss is the mean of weight times cross-entropy", async () => {
  const ys = tf.tensor([
    [
      [2, 1],
      [1, 0.5],
    ],
    [
      [0, 0],
      [2, 2],
    ],
  ]);
  const logits = tf.randomNormal([2, 2, 3]);
  const probabilities = /** @type {number[][][]} */ (await tf.softmax(logits).array());
  const loss = tf.mean(weightedLoss(tf)(ys, tf.softmax(logits))).dataSync()[0];
  const ofLogits = tf.mean(weightedLoss(tf, { fromLogits: true })(ys, logits)).dataSync()[0];
  const rows = [
    [0, 0, 2, 1],
    [0, 1, 1, 0.5],
    [1, 1, 2, 2],
  ];
  const expected =
    rows.reduce((sum, [i, j, k, weight]) => sum - weight * Math.log(probabilities[i][j][k]), 0) / 4;
  assert.ok(Math.abs(loss - expected) < 1e-5 && Math.abs(ofLogits - expected) < 1e-5);
  const right = tf.oneHot(
    tf.tensor(
      [
        [2, 0],
        [1, 2],
      ],
      undefined,
      "int32",
    ),
    3,
  );
  const accuracy = weightedAccuracy(tf)(ys, right).dataSync()[0];
  assert.ok(Math.abs(accuracy - 3 / 3.5) < 1e-6, String(accuracy));
});

test("take, skip, filter, map, prefetch and repeat work, and leave no tensor", async () => {
  const data = await open(newExport());
  /** @type {[(dataset: any) => any, number][]} */
  const cases = [
    [(ds) => ds, 10],
    [(ds) => ds.take(3), 3],
    [(ds) => ds.skip(4), 6],
    [(ds) => ds.filter((/** @type {any} */ { xs }) => xs.images.shape[0] === 4), 9],
    [
      (ds) => ds.map((/** @type {any} */ { xs, ys }) => ({ xs: { age: tf.mul(xs.age, 2) }, ys })),
      10,
    ],
    [(ds) => ds.prefetch(2), 10],
    [(ds) => ds.repeat(2), 20],
  ];
  for (const [change, count] of cases) {
    const before = tf.memory().numTensors;
    let found = 0;
    await change(tfDataset(tf, data)).forEachAsync((/** @type {any} */ element) => {
      found++;
      tf.dispose(element);
    });
    assert.equal(found, count, String(change));
    assert.equal(tf.memory().numTensors, before, String(change));
  }
});

test("over 1,000 batches the number of tensors stays the same", async () => {
  const data = await open(newExport());
  const counts = new Set();
  const dataset = tfDataset(tf, data, { batchSize: 1 }).repeat(26);
  await dataset.forEachAsync((/** @type {any} */ element) => {
    tf.dispose(element);
    counts.add(tf.memory().numTensors);
  });
  assert.equal(counts.size, 1);
});

test("each iteration is the next epoch, and `at` continues with the next batch", async () => {
  const data = await open(newExport());
  const ages = async (/** @type {object} */ options) => {
    const found = [];
    for await (const { columns } of data.batches(options)) found.push([...columns.age].map(Number));
    return found;
  };
  const dataset = tfDataset(tf, data, { at: 4 });
  assert.deepEqual(await rowsOf(dataset), (await ages({ epochs: 1 })).slice(4));
  assert.deepEqual(await rowsOf(dataset.take(2)), (await ages({ at: 10 })).slice(0, 2));
  assert.deepEqual(await rowsOf(dataset), await ages({ at: 20 }));
  assert.equal(tfDataset(tf, data).size, 10);
});

test("fitDataset with three epochs gets three different ones, each whole", async () => {
  const data = await open(newExport());
  /** @type {number[][]} */
  const seen = [[], [], []];
  let epoch = 0;
  const dataset = tfDataset(tf, data, {
    select: ({ columns, images, imageShape }) => {
      seen[epoch].push(...[...columns.age].map(Number));
      return { xs: tf.tensor(images, imageShape), ys: tf.zeros([imageShape[0], 1]) };
    },
  });
  const model = tf.sequential({
    layers: [tf.layers.flatten({ inputShape: [8, 6, 3] }), tf.layers.dense({ units: 1 })],
  });
  model.compile({ optimizer: "sgd", loss: "meanSquaredError" });
  const callbacks = { onEpochEnd: async () => void epoch++ };
  const before = tf.memory().numTensors;
  await model.fitDataset(dataset, { epochs: 3, verbose: 0, callbacks });
  assert.ok(tf.memory().numTensors - before < 20);
  assert.equal(new Set(seen.map(String)).size, 3);
  for (const ages of seen) assert.deepEqual(ages.sort(), seen[0].sort());
});

test("inputs keeps some features; unknown ones are an error", async () => {
  const data = await open(newExport());
  const { value } = await (await tfDataset(tf, data, { inputs: ["token_ids"] }).iterator()).next();
  assert.deepEqual(Object.keys(value.xs), ["token_ids"]);
  tf.dispose(value);
  const unknown = tfDataset(tf, data, { inputs: ["tokens"] });
  await assert.rejects(
    rowsOf(unknown),
    /tfDataset\(inputs=\.\.\.\) must be names out of images, token_ids.*; got tokens/,
  );
  const unlabelled = await open(newExport({ task: { name: "retrieval" } }));
  await assert.rejects(
    rowsOf(tfDataset(tf, unlabelled, { weighted: true })),
    /weighted: true.* needs a task with labels/,
  );
});
