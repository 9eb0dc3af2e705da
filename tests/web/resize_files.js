/**
 * Resizes raw pixels: `node resize_files.js FOLDER`, with the images in FOLDER/jobs.json. Writes
 * FOLDER/result.raw, all results one after another.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fitInto } from "../../mmdata/web/pictures/resize.js";

const folder = process.argv[2];
const pixels = readFileSync(join(folder, "images.raw"));
const results = [];
for (const { start, shape, options } of JSON.parse(
  readFileSync(join(folder, "jobs.json"), "utf8"),
)) {
  const [height, width, channels] = shape;
  const image = pixels.subarray(start, start + height * width * channels);
  results.push(fitInto(image, { height, width, channels }, options));
}
writeFileSync(join(folder, "result.raw"), Buffer.concat(results));
