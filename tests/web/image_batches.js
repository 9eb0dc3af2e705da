/**
 * `node image_batches.js FOLDER`: batches of the pictures in FOLDER/jobs.json, paths or raw pixels in
 * files. Writes FOLDER/result.raw, all images one after another.
 */

import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { imageBatches } from "../../mmdata/web/pictures/pictures.js";

const folder = process.argv[2];
const { pictures, options } = JSON.parse(readFileSync(join(folder, "jobs.json"), "utf8"));

function* all() {
  for (const { path, height, width } of pictures) {
    yield height ? { data: new Uint8Array(readFileSync(path)), height, width } : path;
  }
}

const file = openSync(join(folder, "result.raw"), "w");
for await (const { images } of imageBatches(all(), options)) writeSync(file, images);
closeSync(file);
