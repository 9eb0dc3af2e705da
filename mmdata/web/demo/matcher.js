/** A matcher: pictures and texts -> vectors, which are near for what belongs together. */

import { tfDataset } from "../mmdata.js";
import { makeEncoder } from "./encoder.js";

const SIZE = 64;
const SHARPNESS = 10; // similarities, -1 to 1, times this are logits
const RATE = 2e-3;

/**
 * @param {any} tf
 * @param {import("../mmdata.d.ts").Data} data Of the task "retrieval", with a tokenizer.
 */
export function makeMatcher(tf, data) {
  const pictures = makePictureSide(tf, data);
  const texts = makeTextSide(tf, data.tokenizer?.vocabularySize);
  const images = tf.input({ shape: pictures.inputs[0].shape.slice(1), name: "images" });
  const ids = tf.input({ shape: [null], dtype: "int32", name: "token_ids" });
  const mask = tf.input({ shape: [null], name: "padding_mask" });
  const both = tf.layers.concatenate().apply([pictures.apply(images), texts.apply([ids, mask])]);
  const model = tf.model({ inputs: [images, ids, mask], outputs: both });
  model.compile({ optimizer: tf.train.adam(RATE), loss: matchingLoss(tf) });
  return {
    model,
    /** @param {{ at: number, batchSize: number }} options */
    dataset: (options) => tfDataset(tf, data, { ...options, select: elementOf }),
    /** @param {any} images [b, h, w, c], normalized. @returns {any} [b, SIZE] */
    pictureVectors: (images) => pictures.predict(images),
    /** @param {any} ids int32 [b, t] @param {any} mask [b, t] @returns {any} [b, SIZE] */
    textVectors: (ids, mask) => texts.predict([ids, mask]),
  };
}

/**
 * What a step learns from; the numbers of the images say which texts belong to the same one.
 *
 * @param {import("../mmdata.d.ts").Batch} batch
 * @param {any} tf
 */
function elementOf(batch, tf) {
  const { images, imageShape, tokenIds, paddingMask, tokenShape, imageIds } = batch;
  return {
    xs: {
      images: tf.tensor(images, imageShape),
      token_ids: tf.tensor(tokenIds, tokenShape, "int32"),
      padding_mask: tf.tensor(paddingMask, tokenShape, "float32"),
    },
    ys: tf.tensor(imageIds, [imageIds.length, 1], "int32"),
  };
}

/**
 * @param {any} tf
 * @param {import("../mmdata.d.ts").Data} data
 */
function makePictureSide(tf, data) {
  const encoder = makeEncoder(tf, data);
  const vector = tf.layers.dense({ units: SIZE }).apply(encoder.outputs[0]);
  return tf.model({ inputs: encoder.inputs, outputs: vector });
}

/**
 * @param {any} tf
 * @param {number | undefined} vocabulary
 * @returns {any} A model: token ids int32 [b, t], mask [b, t] -> [b, SIZE].
 */
function makeTextSide(tf, vocabulary) {
  const ids = tf.input({ shape: [null], dtype: "int32" });
  const mask = tf.input({ shape: [null] });
  const words = tf.layers.embedding({ inputDim: vocabulary, outputDim: SIZE }).apply(ids);
  const MaskedMean = maskedMeanLayer(tf);
  const mean = new MaskedMean({}).apply([words, mask]);
  return tf.model({ inputs: [ids, mask], outputs: tf.layers.dense({ units: SIZE }).apply(mean) });
}

/**
 * A layer: words [b, t, e], mask [b, t] -> the mean of the words where the mask is 1, [b, e].
 *
 * @param {any} tf
 * @returns {any} The class.
 */
function maskedMeanLayer(tf) {
  return class MaskedMean extends tf.layers.Layer {
    static className = "MaskedMean";

    /** @param {[number[], number[]]} shapes */
    computeOutputShape([[count, , size]]) {
      return [count, size];
    }

    /** @param {[any, any]} inputs */
    call([words, mask]) {
      return tf.tidy(() => {
        const weights = mask.toFloat().expandDims(2);
        return words.mul(weights).sum(1).div(weights.sum(1).maximum(1));
      });
    }
  };
}

/**
 * Cross-entropy in both directions: which text of the batch belongs to a picture, and which picture
 * to a text. Source: Radford et al. 2021, "Learning Transferable Visual Models From Natural Language
 * Supervision" (CLIP).
 *
 * @param {any} tf
 */
function matchingLoss(tf) {
  return (/** @type {any} */ imageIds, /** @type {any} */ both) =>
    tf.tidy(() => {
      const [pictures, texts] = tf.split(both, 2, 1).map(normalized);
      const logits = pictures.matMul(texts, false, true).mul(SHARPNESS);
      const same = imageIds.equal(imageIds.transpose()).toFloat();
      const wanted = same.div(same.sum(1, true));
      const entropy = (/** @type {any} */ found) => tf.logSoftmax(found).mul(wanted).sum(1).neg();
      return entropy(logits).add(entropy(logits.transpose())).div(2).mean();
    });
}

/** @param {any} vectors [b, n] -> of length 1. */
export function normalized(vectors) {
  return vectors.div(vectors.square().sum(1, true).add(1e-6).sqrt());
}
