/** A captioner: a picture and the words so far -> the next word. */

import { tfDataset, weightedLoss } from "../mmdata.js";
import { makeEncoder } from "./encoder.js";

const WORD_FEATURES = 32;
const HIDDEN = 128;
const RATE = 3e-3;

/**
 * @param {any} tf
 * @param {import("../mmdata.d.ts").Data} data Of the task "captioning", with a tokenizer.
 */
export function makeCaptioner(tf, data) {
  const encoder = makeEncoder(tf, data);
  const decoder = makeDecoder(tf, encoder.outputs[0].shape[1], data.tokenizer?.vocabularySize);
  const images = tf.input({ shape: encoder.inputs[0].shape.slice(1), name: "images" });
  const ids = tf.input({ shape: [null], dtype: "int32", name: "token_ids" });
  const logits = decoder.apply([encoder.apply(images), ids]);
  const model = tf.model({ inputs: [images, ids], outputs: logits });
  model.compile({ optimizer: tf.train.adam(RATE), loss: weightedLoss(tf, { fromLogits: true }) });
  return {
    model,
    /** @param {{ at: number, batchSize: number }} options */
    dataset: (options) =>
      tfDataset(tf, data, { ...options, inputs: ["images", "token_ids"], weighted: true }),
    /** @param {any} pictures A tensor, [b, h, w, c], normalized. @returns {Promise<string[]>} */
    caption: (pictures) => captionsOf(tf, data, encoder, decoder, pictures),
  };
}

/**
 * @param {any} tf
 * @param {number} imageFeatures
 * @param {number | undefined} vocabulary
 * @returns {any} A model: [b, imageFeatures], int32 [b, t] -> logits of the next tokens
 *   [b, t, vocabulary].
 */
function makeDecoder(tf, imageFeatures, vocabulary) {
  const image = tf.input({ shape: [imageFeatures] });
  const ids = tf.input({ shape: [null], dtype: "int32" });
  const words = tf.layers.embedding({ inputDim: vocabulary, outputDim: WORD_FEATURES }).apply(ids);
  const Context = contextLayer(tf);
  const context = new Context({}).apply([image, words]);
  const hidden = tf.layers.dense({ units: HIDDEN, activation: "relu" }).apply(context);
  const logits = tf.layers.dense({ units: vocabulary }).apply(hidden);
  return tf.model({ inputs: [image, ids], outputs: logits });
}

/**
 * A layer: image [b, f], words [b, t, e] -> [b, t, f + 3 e]: the image, and the last three words.
 *
 * @param {any} tf
 * @returns {any} The class.
 */
function contextLayer(tf) {
  return class Context extends tf.layers.Layer {
    static className = "Context";

    /** @param {[number[], number[]]} shapes */
    computeOutputShape([[count, features], [, length, size]]) {
      return [count, length, features + 3 * size];
    }

    /** @param {[any, any]} inputs */
    call([image, words]) {
      return tf.tidy(() => {
        const [, length] = words.shape;
        const before = (/** @type {number} */ distance) =>
          words.pad([[0, 0], [distance, 0], [0, 0]]).slice([0, 0, 0], [-1, length, -1]); // prettier-ignore
        const everywhere = image.expandDims(1).tile([1, length, 1]);
        return tf.concat([everywhere, words, before(1), before(2)], 2);
      });
    }
  };
}

/**
 * The most likely word, again and again, until the end.
 *
 * @param {any} tf
 * @param {import("../mmdata.d.ts").Data} data
 * @param {any} encoder
 * @param {any} decoder
 * @param {any} pictures [b, h, w, c]
 * @returns {Promise<string[]>}
 */
async function captionsOf(tf, data, encoder, decoder, pictures) {
  const text = /** @type {import("../mmdata.d.ts").TextSettings} */ (data.manifest.settings.text);
  const start = [text.start_id ?? text.pad_id, ...text.prompt];
  const [count, length] = [pictures.shape[0], text.length - 1];
  // Always of full length: TensorFlow.js compiles its programs again for each new shape.
  const ids = new Int32Array(count * length).fill(text.pad_id);
  for (let i = 0; i < count; i++) ids.set(start, i * length);
  const image = encoder.predict(pictures);
  const captions = Array.from({ length: count }, () => /** @type {number[]} */ ([]));
  const open = new Set(captions);
  for (let place = start.length - 1; place < length && open.size; place++) {
    const next = tf.tidy(() => {
      const logits = decoder.predict([image, tf.tensor2d(ids, [count, length], "int32")]);
      return logits.slice([0, place, 0], [-1, 1, -1]).argMax(-1);
    });
    const words = await next.data();
    next.dispose();
    captions.forEach((caption, i) => {
      if (words[i] === text.end_id) open.delete(caption);
      if (open.has(caption)) caption.push(words[i]);
      if (place + 1 < length) ids[i * length + place + 1] = words[i];
    });
  }
  image.dispose();
  return captions.map((caption) => data.tokenizer?.decode(caption) ?? "");
}
