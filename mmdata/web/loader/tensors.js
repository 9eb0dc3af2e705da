/** Examples as tensors of TensorFlow.js, and as a `tf.data.Dataset`. */

import { isSingle, taskFeatures } from "./examples.js";

/**
 * @typedef {import("../mmdata.d.ts").Batch} Batch
 * @typedef {import("../mmdata.d.ts").Rows} Rows
 * @typedef {import("./examples.js").Features} Features
 */

/** @type {typeof import("../mmdata.d.ts").tfDataset} */
export function tfDataset(tf, data, options = {}) {
  const { inputs, weighted = false, select, at = 0, ...others } = options;
  const request = { normalize: true, ...others };
  const steps = data.stepsPerEpoch(request);
  let next = at;

  /** @param {Batch} batch */
  const element = (batch) => {
    if (select) return select(batch, tf);
    const features = taskFeatures(batch, data.manifest);
    return lazyTensors(tf, weighted ? withWeights(features) : features, data.manifest, inputs);
  };

  async function* epoch() {
    const begin = next;
    next = (Math.floor(begin / steps) + 1) * steps; // that of the next iteration
    for await (const batch of data.batches({ ...request, at: begin })) yield element(batch);
  }

  // fitDataset asks for an iterator that it does not use: an iteration begins with its first batch.
  const dataset = tf.data.generator(epoch);
  if (at % steps === 0) dataset.size = steps;
  return dataset;
}

/**
 * A batch as tensors, or as `Rows` without `tf`.
 *
 * @param {any} tf
 * @param {Batch} batch
 * @param {import("../mmdata.d.ts").Manifest} manifest
 * @returns {any}
 */
export function toExample(tf, batch, manifest) {
  const features = taskFeatures(batch, manifest);
  const { xs, ...others } = tf ? tensorsOf(tf, features) : features;
  return { xs: isSingle(features, manifest) ? xs.images : xs, ...others };
}

/**
 * @param {any} tf
 * @param {any} features
 * @returns {any}
 */
function tensorsOf(tf, features) {
  const entries = Object.entries(features).map(([name, value]) => [
    name,
    value.data ? tensorOf(tf, name, value) : tensorsOf(tf, value),
  ]);
  return Object.fromEntries(entries);
}

/**
 * @param {any} tf
 * @param {string} name
 * @param {Rows} rows
 */
function tensorOf(tf, name, { data, shape, dtype }) {
  // The losses of TensorFlow.js take class numbers only as float32.
  return tf.tensor(data, shape, name === "ys" ? "float32" : dtype);
}

/**
 * Features whose tensors are made when they are asked for. fitDataset takes those that the model has
 * as inputs, and never disposes the others.
 *
 * @param {any} tf
 * @param {Features} features
 * @param {import("../mmdata.d.ts").Manifest} manifest
 * @param {string[] | undefined} inputs
 */
function lazyTensors(tf, features, manifest, inputs) {
  const { xs, ...others } = features;
  const names = inputs ?? Object.keys(xs);
  const unknown = names.filter((name) => !(name in xs));
  if (unknown.length) {
    throw new Error(
      `tfDataset(inputs=...) must be names out of ${Object.keys(xs).join(", ")}; got ` +
        `${unknown.join(", ")}.`,
    );
  }
  const wanted = Object.fromEntries(names.map((name) => [name, xs[name]]));
  const element = lazy(tf, others);
  if (isSingle(features, manifest))
    Object.defineProperty(element, "xs", getter(tf, "xs", xs.images));
  else element.xs = lazy(tf, wanted);
  return element;
}

/**
 * @param {any} tf
 * @param {Record<string, Rows | undefined>} features
 * @returns {any}
 */
function lazy(tf, features) {
  const object = {};
  for (const [name, rows] of Object.entries(features)) {
    if (rows) Object.defineProperty(object, name, getter(tf, name, rows));
  }
  return object;
}

/**
 * @param {any} tf
 * @param {string} name
 * @param {Rows} rows
 */
function getter(tf, name, rows) {
  /** @type {any} */
  let tensor;
  return { enumerable: true, get: () => (tensor ??= tensorOf(tf, name, rows)) };
}

/**
 * Labels and weights as one `ys`, float32 [..., 2].
 *
 * @param {Features} features
 * @returns {Features}
 */
function withWeights({ xs, ys, sample_weight: weight }) {
  if (!ys) {
    throw new Error(
      "tfDataset({ weighted: true }) needs a task with labels, such as captioning; got one without. " +
        "Leave weighted out.",
    );
  }
  const data = new Float32Array(2 * ys.data.length);
  for (let i = 0; i < ys.data.length; i++) {
    data[2 * i] = ys.data[i];
    data[2 * i + 1] = weight ? weight.data[i] : 1;
  }
  return { xs, ys: { data, shape: [...ys.shape, 2], dtype: "float32" } };
}

/** @type {typeof import("../mmdata.d.ts").weightedLoss} */
export function weightedLoss(tf, { fromLogits = false } = {}) {
  return (ys, predictions) =>
    tf.tidy(() => {
      const [labels, weights] = tf.unstack(ys, -1);
      const classes = predictions.shape[predictions.shape.length - 1];
      const scores = fromLogits
        ? tf.logSoftmax(predictions)
        : tf.log(tf.clipByValue(predictions, 1e-7, 1));
      const wanted = tf.oneHot(tf.cast(labels, "int32"), classes);
      return tf.neg(tf.mul(tf.sum(tf.mul(wanted, scores), -1), weights));
    });
}

/** @type {typeof import("../mmdata.d.ts").weightedAccuracy} */
export function weightedAccuracy(tf) {
  const accuracy = (/** @type {any} */ ys, /** @type {any} */ predictions) =>
    tf.tidy(() => {
      const [labels, weights] = tf.unstack(ys, -1);
      const right = tf.equal(tf.argMax(predictions, -1), tf.cast(labels, "int32"));
      return tf.divNoNan(tf.sum(tf.mul(tf.cast(right, "float32"), weights)), tf.sum(weights));
    });
  return accuracy;
}
