/** Pictures that the model does not learn from. */

const BYTES = 2 ** 26;

/**
 * @typedef {import("../mmdata.d.ts").Data} Data
 * @typedef {import("../mmdata.d.ts").Batch} Batch
 */

/**
 * The split to try a model with: "validation", "test", or "train" if there is no other.
 *
 * @param {Data} data
 * @returns {string}
 */
export function splitToTry({ splits }) {
  return ["validation", "test"].find((name) => splits.includes(name)) ?? "train";
}

/**
 * The first examples of a split, as pixels and as a model takes them: about 64 MB at most.
 *
 * @param {Data} data
 * @param {string} split
 * @returns {Promise<{ raw: Batch, normalized: Batch }>}
 */
export async function firstExamples(data, split) {
  const [height, width] = data.imageSize;
  const most = Math.ceil(BYTES / (5 * height * width * data.channels)); // uint8 and float32
  const options = { split, shuffle: false, batchSize: Math.min(most, data.size(split)) };
  const [raw, normalized] = await Promise.all(
    [false, true].map(async (normalize) => {
      for await (const batch of data.batches({ ...options, normalize })) return batch;
      throw new Error(`The split "${split}" must have pictures; got none.`);
    }),
  );
  return { raw, normalized };
}
