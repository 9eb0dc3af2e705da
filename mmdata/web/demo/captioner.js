/** A captioner: a picture and the words so far -> the next word. */

import { tfDataset, weightedLoss } from "../mmdata.js";
import { makeEncoder } from "./encoder.js";

const WORDS = 6; // the last ones, which decide about the next one
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
  const LastWords = lastWordsLayer(tf);
  const lastWords = new LastWords({}).apply(words);
  const fromWords = tf.layers.dense({ units: HIDDEN }).apply(lastWords);
  const fromImage = tf.layers.dense({ units: HIDDEN }).apply(image);
  const everywhere = tf.layers.reshape({ targetShape: [1, HIDDEN] }).apply(fromImage);
  const sum = tf.layers.add().apply([fromWords, everywhere]);
  const hidden = tf.layers.reLU().apply(sum);
  const logits = tf.layers.dense({ units: vocabulary }).apply(hidden);
  return tf.model({ inputs: [image, ids], outputs: logits });
}

/**
 * A layer: words [b, t, e] -> each word and those before it, [b, t, WORDS e].
 *
 * @param {any} tf
 * @returns {any} The class.
 */
function lastWordsLayer(tf) {
  return class LastWords extends tf.layers.Layer {
    static className = "LastWords";

    /** @param {[number, number, number]} shape */
    computeOutputShape([count, length, size]) {
      return [count, length, WORDS * size];
    }

    /** @param {any} inputs */
    call(inputs) {
      return tf.tidy(() => {
        const words = Array.isArray(inputs) ? inputs[0] : inputs;
        const [, length, size] = words.shape;
        const later = (/** @type {number} */ places) => {
          const zeros = tf.zeros([words.shape[0], places, size]);
          return tf.concat([zeros, words], 1).slice([0, 0, 0], [-1, length, -1]);
        };
        return tf.concat([words, ...Array.from({ length: WORDS - 1 }, (_, i) => later(i + 1))], 2);
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
  const sequences = Array.from({ length: pictures.shape[0] }, () => [...start]);
  const open = new Set(sequences);
  const image = encoder.predict(pictures);
  while (open.size && sequences[0].length < text.length) {
    const next = tf.tidy(() => {
      const ids = tf.tensor2d(
        sequences.map((words) => words.slice(-WORDS)),
        undefined,
        "int32",
      );
      return decoder
        .predict([image, ids])
        .slice([0, ids.shape[1] - 1, 0], [-1, 1, -1])
        .argMax(-1);
    });
    const ids = await next.data();
    next.dispose();
    sequences.forEach((words, i) => {
      if (ids[i] === text.end_id) open.delete(words);
      words.push(open.has(words) ? ids[i] : text.pad_id);
    });
  }
  image.dispose();
  return sequences.map((words) => data.tokenizer?.decode(words.slice(start.length)) ?? "");
}
