/**
 * Trains the captioner of the demo page in Node, which has only TensorFlow.js in plain JavaScript, and
 * once more from the middle.
 *
 *   node train_in_node.js FOLDER STEPS
 *
 * Prints JSON: the losses of all steps, those of the second half when it was resumed, and captions of
 * the pictures in "validation".
 */

import * as tf from "@tensorflow/tfjs";
import { makeCaptioner } from "../../mmdata/web/demo/captioner.js";
import { firstExamples } from "../../mmdata/web/demo/held_out.js";
import { Training } from "../../mmdata/web/demo/training.js";
import { open } from "../../mmdata/web/mmdata.js";

const [folder, steps] = [process.argv[2], Number(process.argv[3])];

/** @type {Map<string, any>} */
const kept = new Map();
const store = {
  load: async (/** @type {string} */ key) => kept.get(key),
  keep: async (/** @type {string} */ key, /** @type {any} */ value) =>
    void kept.set(key, structuredClone(value)),
  remove: async (/** @type {string} */ key) => void kept.delete(key),
};

/**
 * @param {Training} training
 * @param {number} last
 */
const runTo = (training, last) => training.run(() => training.step === last && training.pause());

await tf.setBackend("cpu");
const data = await open(folder);
const make = () => makeCaptioner(tf, data);

const training = new Training(tf, data, make, store);
await runTo(training, steps / 2);
const half = new Map(kept);
await runTo(training, steps);

const resumed = new Training(tf, data, make, { ...store, load: async (key) => half.get(key) });
await resumed.restore();
await runTo(resumed, steps);

const { raw, normalized } = await firstExamples(data, "validation");
const pictures = tf.tensor(normalized.images, normalized.imageShape);
const captions = await /** @type {any} */ (training.task).caption(pictures);
const { losses } = training;
console.log(
  JSON.stringify({
    losses,
    resumed: resumed.losses.slice(steps / 2),
    captions,
    rows: [...raw.rows],
  }),
);
