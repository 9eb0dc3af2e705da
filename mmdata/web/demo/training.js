/** Trains a model with `fitDataset`, and keeps it in the browser, so that it continues at its step. */

import * as indexedDb from "./kept.js";

const FOREVER = 1_000_000; // epochs: until it is paused
const SECONDS_BETWEEN_KEEPS = 15;
const VERSION = 1; // of the models: other layers need other weights

/**
 * @typedef {object} Task A model, and what it learns from.
 * @property {any} model Compiled.
 * @property {(options: { at: number, batchSize: number }) => any} dataset A `tf.data.Dataset` from a
 *   step.
 *
 * @typedef {object} Stored
 * @property {number} step
 * @property {number[]} losses
 * @property {Weight[]} weights
 * @property {Weight[]} optimizer
 *
 * @typedef {{ name: string, shape: number[], data: Float32Array | Int32Array }} Weight
 */

export class Training {
  /** Batches that the model has learned from. */
  step = 0;
  /** @type {number[]} The loss of each step. */
  losses = [];
  isRunning = false;
  /** @type {number} Of the last steps. */
  imagesPerSecond = NaN;
  #tf;
  #make;
  #store;
  #key;
  #keptAt = 0;

  /**
   * @param {any} tf
   * @param {import("../mmdata.d.ts").Data} data
   * @param {() => Task} make Makes the task, with new weights.
   * @param {Pick<typeof indexedDb, "load" | "keep" | "remove">} [store] Where to keep the model.
   */
  constructor(tf, data, make, store = indexedDb) {
    this.#tf = tf;
    this.#make = make;
    this.#store = store;
    this.#key = keyOf(data);
    this.task = make();
    this.batchSize = Math.min(data.manifest.settings.order.batch_size, data.size("train"));
    this.stepsPerEpoch = data.stepsPerEpoch({ split: "train", batchSize: this.batchSize });
  }

  /**
   * Trains until `pause`.
   *
   * @param {() => void} onStep
   */
  async run(onStep) {
    this.isRunning = true;
    this.#keptAt = performance.now();
    let before = performance.now();
    /** @type {number[]} */
    const seconds = [];
    const onBatchEnd = async (
      /** @type {number} */ _,
      /** @type {{ loss: number }} */ { loss },
    ) => {
      this.step += 1;
      this.losses.push(loss);
      seconds.push((performance.now() - before) / 1000);
      before = performance.now();
      const recent = seconds.slice(-10);
      this.imagesPerSecond = (recent.length * this.batchSize) / recent.reduce((a, b) => a + b);
      onStep();
      if (before - this.#keptAt > 1000 * SECONDS_BETWEEN_KEEPS) await this.keep();
      this.task.model.stopTraining = !this.isRunning;
      await new Promise((resolve) => setTimeout(resolve)); // the page draws, and takes clicks
    };
    const dataset = this.task.dataset({ at: this.step, batchSize: this.batchSize });
    try {
      // yieldEvery: "never", since its pauses wait for a frame, which a hidden tab does not draw.
      const options = {
        epochs: FOREVER,
        verbose: 0,
        yieldEvery: "never",
        callbacks: { onBatchEnd },
      };
      await this.task.model.fitDataset(dataset, options);
      await this.keep();
    } finally {
      this.isRunning = false;
    }
  }

  /** Ends `run` after the step that is under way. */
  pause() {
    this.isRunning = false;
  }

  /** Keeps the step, the weights and the state of the optimizer. */
  async keep() {
    if (!this.step) return;
    const { model } = this.task;
    const state = await model.optimizer.getWeights();
    /** @type {Stored} */
    const stored = {
      step: this.step,
      losses: this.losses,
      weights: await Promise.all(model.getWeights().map(read)),
      optimizer: await Promise.all(
        state.map((/** @type {any} */ { name, tensor }) => read(tensor, name)),
      ),
    };
    state[0].tensor.dispose(); // the number of steps, a tensor made for us
    await this.#store.keep(this.#key, stored);
    this.#keptAt = performance.now();
  }

  /** @returns {Promise<boolean>} Whether a model was kept; it then continues at its step. */
  async restore() {
    /** @type {Stored | undefined} */
    const stored = await this.#store.load(this.#key);
    if (!stored) return false;
    const tensor = (/** @type {Weight} */ { data, shape }) => this.#tf.tensor(data, shape);
    const weights = stored.weights.map(tensor);
    const state = stored.optimizer.map((weight) => ({ name: weight.name, tensor: tensor(weight) }));
    this.task.model.setWeights(weights);
    await this.task.model.optimizer.setWeights(state);
    this.#tf.dispose([weights, state.map((weight) => weight.tensor)]);
    this.step = stored.step;
    this.losses = stored.losses;
    return true;
  }

  /** Forgets the model, and begins with a new one. */
  async restart() {
    await this.#store.remove(this.#key);
    this.task.model.optimizer.dispose();
    this.task.model.dispose();
    this.task = this.#make();
    this.step = 0;
    this.losses = [];
    this.imagesPerSecond = NaN;
  }
}

/**
 * What the model of a data set is kept under.
 *
 * @param {import("../mmdata.d.ts").Data} data
 */
export function keyOf({ manifest }) {
  return `${manifest.fingerprint} ${VERSION}`;
}

/**
 * @param {any} tensor
 * @param {string} [name]
 * @returns {Promise<Weight>}
 */
async function read(tensor, name = tensor.name) {
  return { name, shape: tensor.shape, data: await tensor.data() };
}
