/** Batches in the form of the Keras tasks: `{ xs, ys, sample_weight }`. */

/**
 * @typedef {import("../mmdata.d.ts").Batch} Batch
 * @typedef {import("../mmdata.d.ts").Rows} Rows
 * @typedef {import("../mmdata.d.ts").Manifest} Manifest
 * @typedef {{ xs: Record<string, Rows>, ys?: Rows, sample_weight?: Rows }} Features
 */

const SHIFTED = ["captioning", "prefix"];
const TOWERS = ["retrieval", "text_to_image"];

/**
 * What the Keras task makes of a batch.
 *
 * @param {Batch} batch
 * @param {Manifest} manifest
 * @returns {Features}
 */
export function taskFeatures(batch, manifest) {
  const { task } = manifest.settings;
  const images = rowsOf(batch.images, batch.imageShape);
  const columns = Object.entries(batch.columns)
    .filter(([name]) => task.columns.includes(name))
    .map(([name, values]) => [name, rowsOf(narrowed(values, name))]);
  const extra = Object.fromEntries(columns);
  if (SHIFTED.includes(task.name) && batch.tokenIds)
    return shifted(batch, images, extra, task.name);
  if (task.name === "classification" && batch.labels) {
    const weight = "weight" in manifest.columns || batch.valid;
    return {
      xs: { images, ...extra },
      ys: rowsOf(batch.labels),
      ...(weight && { sample_weight: rowsOf(batch.weights) }),
    };
  }
  const hasText = [...TOWERS, ...SHIFTED].includes(task.name);
  const text = hasText ? towers(batch, task.name, manifest) : {};
  return { xs: { images, ...text, ...extra } };
}

/**
 * Whether xs is one tensor, as in Keras, and not several with names.
 *
 * @param {Features} features
 * @param {Manifest} manifest
 */
export function isSingle({ xs }, manifest) {
  const ofImages = ["classification", "prediction"].includes(manifest.settings.task.name);
  return ofImages && Object.keys(xs).length === 1;
}

/**
 * @param {Batch} batch
 * @param {string} task
 * @param {Manifest} manifest
 * @returns {Record<string, Rows>}
 */
function towers(batch, task, manifest) {
  const { tokenIds, paddingMask, valid, tokenShape } = batch;
  const isRetrieval = task === "retrieval";
  /** @type {Record<string, Rows>} */
  const xs = {};
  if (tokenIds && paddingMask && tokenShape) {
    const mask =
      valid && isRetrieval
        ? paddingMask.map((value, i) => value * valid[Math.floor(i / tokenShape[1])])
        : paddingMask;
    xs.token_ids = rowsOf(tokenIds, tokenShape);
    xs.padding_mask = rowsOf(mask, tokenShape);
  }
  if (isRetrieval) xs.image_id = rowsOf(batch.imageIds);
  const isWeighted = "weight" in manifest.columns || valid;
  if (isWeighted && (task === "text_to_image" || !tokenIds)) xs.weight = rowsOf(batch.weights);
  return xs;
}

/**
 * Teacher forcing: x without the last token, y without the first one.
 *
 * @param {Batch} batch
 * @param {Rows} images
 * @param {Record<string, Rows>} extra
 * @param {string} task
 * @returns {Features}
 */
function shifted(batch, images, extra, task) {
  const { tokenIds, paddingMask, responseMask, weights } = /** @type {Required<Batch>} */ (batch);
  const [count, width] = /** @type {[number, number]} */ (batch.tokenShape);
  /** @type {[number, number]} */
  const shape = [count, width - 1];
  const isPrefix = task === "prefix";
  const after = withoutFirst(isPrefix ? responseMask : paddingMask, width);
  const mask = withoutLast(paddingMask, width);
  const weight = new Float32Array(after.length);
  for (let i = 0; i < weight.length; i++) {
    const counts = isPrefix ? after[i] : after[i] * mask[i];
    weight[i] = counts * weights[Math.floor(i / (width - 1))];
  }
  return {
    xs: {
      images,
      token_ids: rowsOf(withoutLast(tokenIds, width), shape),
      padding_mask: rowsOf(mask, shape),
      ...(isPrefix && { response_mask: rowsOf(withoutLast(responseMask, width), shape) }),
      ...extra,
    },
    ys: rowsOf(withoutFirst(tokenIds, width), shape),
    sample_weight: rowsOf(weight, shape),
  };
}

/**
 * @param {Int32Array} values
 * @param {number} width
 */
function withoutFirst(values, width) {
  return values.filter((_, i) => i % width);
}

/**
 * @param {Int32Array} values
 * @param {number} width
 */
function withoutLast(values, width) {
  return values.filter((_, i) => (i + 1) % width);
}

/**
 * @param {Float32Array | Int32Array | Uint8Array} data
 * @param {number[]} shape
 * @returns {Rows}
 */
function rowsOf(data, shape = [data.length]) {
  return { data, shape: [...shape], dtype: data instanceof Float32Array ? "float32" : "int32" };
}

/**
 * A column as 32-bit numbers: TensorFlow.js has no others.
 *
 * @param {import("../mmdata.d.ts").Column} values
 * @param {string} name
 */
function narrowed(values, name) {
  if (values instanceof Float32Array || values instanceof Int32Array) return values;
  if (values instanceof Float64Array) return Float32Array.from(values);
  const numbers = Int32Array.from(/** @type {any} */ (values), Number);
  const changed = numbers.findIndex((number, i) => number !== Number(values[i]));
  if (changed < 0) return numbers;
  throw new RangeError(
    `The column "${name}" must hold 32-bit numbers for TensorFlow.js; got ${values[changed]}. ` +
      "data.batches() gives all numbers.",
  );
}
