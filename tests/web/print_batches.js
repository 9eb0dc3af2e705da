/** Prints the batches of the jobs that it gets on its standard input; see batches_json.js. */

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { batchesJson } from "./batches_json.js";

const { open } = await import(String(pathToFileURL(process.argv[2])));
console.log(JSON.stringify(await batchesJson(open, JSON.parse(readFileSync(0, "utf8")))));
