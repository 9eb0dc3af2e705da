/**
 * Decodes PNG files: `node decode_png_files.js FOLDER`, with FOLDER/jobs.json. Writes
 * FOLDER/result.raw, all pixels one after another, and FOLDER/result.json, each shape or error.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decodePng } from "../../mmdata/web/pictures/png.js";

const folder = process.argv[2];
const files = new Uint8Array(readFileSync(join(folder, "files.raw")));
const { background, jobs } = JSON.parse(readFileSync(join(folder, "jobs.json"), "utf8"));
const pixels = [];
const results = [];
for (const [start, end] of jobs) {
  try {
    const { data, height, width } = await decodePng(files.subarray(start, end), background);
    pixels.push(data);
    results.push({ shape: [height, width, 3] });
  } catch (error) {
    const { name, message } = /** @type {Error} */ (error);
    results.push({ name, message });
  }
}
writeFileSync(join(folder, "result.raw"), Buffer.concat(pixels));
writeFileSync(join(folder, "result.json"), JSON.stringify(results));
