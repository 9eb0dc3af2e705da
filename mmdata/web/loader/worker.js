/** Reads batches in a Worker: the other side of remote_reader.js. */

import { openFiles } from "./files.js";
import { Reader } from "./reader.js";
import { answerCalls } from "./worker_calls.js";

/** @type {Reader} */
let reader;

answerCalls({
  open: async ({ address, manifest, cacheBytes }) => {
    reader = new Reader(await openFiles(address, globalThis.fetch), manifest, cacheBytes);
  },
  batch: (request) => reader.batch(request),
  examples: (request) => reader.examples(request),
});
