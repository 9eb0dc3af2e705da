/** uint8 pixels -> the numbers that a model was trained with: float32 values equal to Python's. */

/** @typedef {(value: number, channel: number) => number} Scale */

const f32 = Math.fround;
const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
const CLIP = {
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
};
const BGR_MEANS = [103.939, 116.779, 123.68];

/** @type {Record<string, Scale>} */
const SCALES = {
  raw: (value) => value,
  unit: (value) => f32(value / 255),
  signed: (value) => f32(f32(value / 127.5) - 1),
  imagenet: standardized(IMAGENET),
  clip: standardized(CLIP),
  caffe: (value, channel) => f32(value - f32(BGR_MEANS[channel])),
};

/** Those that are for RGB only. */
const OF_RGB = ["imagenet", "clip", "caffe"];

/** The names that `normalize` takes. */
export const NORMALIZATIONS = [...Object.keys(SCALES), "uint8"];

/**
 * @param {{mean: number[], std: number[]}} published For pixels in 0..1.
 * @returns {Scale}
 */
function standardized({ mean, std }) {
  const [means, stds] = [mean, std].map((values) => values.map((value) => f32(255 * value)));
  return (value, channel) => f32(f32(value - means[channel]) / stds[channel]);
}

/**
 * Scales pixels to the range that a model expects.
 *
 * @param {Uint8Array} images [..., channels], 0-255; RGB if there are 3 channels.
 * @param {number} channels
 * @param {string} name "unit" (0..1), "signed" (-1..1), "raw" (0..255), "imagenet" and "clip" (their
 *   mean and std), "caffe" (BGR minus ImageNet's means), or "uint8": the same array, unchanged.
 * @returns {Float32Array | Uint8Array} [..., channels].
 * @throws {Error} The name is unknown, or is for 3 channels and there are others.
 */
export function normalize(images, channels, name) {
  if (!NORMALIZATIONS.includes(name)) {
    throw new Error(`normalize must be one of ${NORMALIZATIONS.join(", ")}; got ${name}.`);
  }
  if (name === "uint8") return images;
  if (OF_RGB.includes(name) && channels !== 3) {
    throw new Error(`normalize: "${name}" needs images of 3 channels (RGB); got ${channels}.`);
  }
  const table = tableOf(SCALES[name], channels);
  const result = new Float32Array(images.length);
  const last = name === "caffe" ? channels - 1 : 0;
  for (let pixel = 0; pixel < images.length; pixel += channels) {
    for (let c = 0; c < channels; c++) {
      const from = last ? last - c : c; // "caffe" turns RGB into BGR
      result[pixel + c] = table[(c << 8) | images[pixel + from]];
    }
  }
  return result;
}

/**
 * @param {Scale} scale
 * @param {number} channels
 */
function tableOf(scale, channels) {
  const table = new Float32Array(256 * channels);
  for (let i = 0; i < table.length; i++) table[i] = scale(i & 255, i >> 8);
  return table;
}
