/** Normalizes pixels: `node normalize_files.js FOLDER`. FOLDER/images.raw -> FOLDER/NAME.raw. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { NORMALIZATIONS, normalize } from "../../mmdata/web/pictures/normalize.js";

const folder = process.argv[2];
const images = new Uint8Array(readFileSync(join(folder, "images.raw")));
for (const name of NORMALIZATIONS) {
  writeFileSync(join(folder, `${name}.raw`), normalize(images, 3, name));
}
