/** A classifier: a picture -> how likely each class is. */

import { tfDataset, weightedAccuracy, weightedLoss } from "../mmdata.js";
import { makeEncoder } from "./encoder.js";

const RATE = 2e-3;

/**
 * @param {any} tf
 * @param {import("../mmdata.d.ts").Data} data Of the task "classification".
 * @param {number} classes How many there are.
 */
export function makeClassifier(tf, data, classes) {
  const encoder = makeEncoder(tf, data);
  const likely = tf.layers.dense({ units: classes, activation: "softmax" });
  const model = tf.model({ inputs: encoder.inputs, outputs: likely.apply(encoder.outputs[0]) });
  const loss = weightedLoss(tf);
  model.compile({ optimizer: tf.train.adam(RATE), loss, metrics: [weightedAccuracy(tf)] });
  return {
    model,
    /** @param {{ at: number, batchSize: number }} options */
    dataset: (options) => tfDataset(tf, data, { ...options, inputs: ["images"], weighted: true }),
    /**
     * @param {any} pictures A tensor, [b, h, w, c], normalized.
     * @returns {Promise<number[][]>} [b, classes]
     */
    classify: async (pictures) => {
      const shares = model.predict(pictures);
      const found = await shares.array();
      shares.dispose();
      return found;
    },
  };
}

/**
 * The number of classes: their names, or one more than the largest label.
 *
 * @param {import("../mmdata.d.ts").Data} data
 */
export async function countClasses(data) {
  if (data.classNames.length) return data.classNames.length;
  let most = 0;
  for await (const { labels = [] } of data.batches({ split: "train", shuffle: false })) {
    most = Math.max(most, ...labels);
  }
  return most + 1;
}
