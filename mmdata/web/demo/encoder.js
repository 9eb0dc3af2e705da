/** Pictures -> vectors: a small network that learns in minutes, also without a fast graphics card. */

const LEVELS = [48, 96, 128, 128, 128]; // features of the patches, which become larger
const FIRST_PATCH = 4; // pixels
const SMALLEST_GRID = 4; // patches; fewer say little about a place
const FEATURES = 96;

/** The range that the data's `normalize` gives -> about -1 to 1: [scale, offset]. */
const RANGES = /** @type {Record<string, [number, number]>} */ ({
  unit: [2, -1],
  raw: [1 / 127.5, -1],
  uint8: [1 / 127.5, -1],
  caffe: [1 / 127.5, 0],
});

/**
 * @param {any} tf
 * @param {import("../mmdata.d.ts").Data} data
 * @returns {any} A model: "images" [b, h, w, c], as the data normalizes them -> [b, FEATURES].
 */
export function makeEncoder(tf, data) {
  const [height, width] = data.imageSize;
  const [scale, offset] = RANGES[data.manifest.settings.pixels.normalize] ?? [1, 0];
  const images = tf.input({ shape: [height, width, data.channels], name: "images" });
  const Patches = patchesLayer(tf);
  let x = tf.layers.rescaling({ scale, offset }).apply(images);
  let grid = Math.min(height, width);
  for (const [level, units] of LEVELS.entries()) {
    const size = level ? 2 : FIRST_PATCH;
    if (level && grid / size < SMALLEST_GRID) break;
    x = new Patches({ size }).apply(x);
    x = tf.layers.dense({ units, activation: "relu", kernelInitializer: "heNormal" }).apply(x);
    grid = Math.ceil(grid / size);
  }
  const most = tf.layers.globalMaxPooling2d({}).apply(x);
  const mean = tf.layers.globalAveragePooling2d({}).apply(x);
  const both = tf.layers.concatenate().apply([most, mean]);
  const features = tf.layers.dense({ units: FEATURES, activation: "relu" }).apply(both);
  return tf.model({ inputs: images, outputs: features });
}

/**
 * A layer: [b, h, w, c] -> [b, h / size, w / size, size * size * c].
 *
 * A dense layer after it is a convolution whose stride is its size. As a product of matrices, it is
 * many times as fast to train as `conv2d` where TensorFlow.js has no real graphics card.
 *
 * @param {any} tf
 * @returns {any} The class.
 */
function patchesLayer(tf) {
  return class Patches extends tf.layers.Layer {
    static className = "Patches";

    /** @param {{ size: number }} config */
    constructor(config) {
      super(config);
      this.size = config.size;
    }

    /** @param {[number, number, number, number]} shape */
    computeOutputShape([count, height, width, channels]) {
      const { size } = this;
      return [count, Math.ceil(height / size), Math.ceil(width / size), size * size * channels];
    }

    /** @param {any} inputs */
    call(inputs) {
      return tf.tidy(() => {
        const x = Array.isArray(inputs) ? inputs[0] : inputs;
        const [count, height, width, channels] = x.shape;
        const { size } = this;
        const [rows, columns] = [Math.ceil(height / size), Math.ceil(width / size)];
        const [below, right] = [rows * size - height, columns * size - width];
        return tf
          .pad(x, [
            [0, 0],
            [0, below],
            [0, right],
            [0, 0],
          ]) // prettier-ignore
          .reshape([count, rows, size, columns, size, channels])
          .transpose([0, 1, 3, 2, 4, 5])
          .reshape([count, rows, columns, size * size * channels]);
      });
    }
  };
}
