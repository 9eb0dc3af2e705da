/** A module Worker that imports mmdata.js and answers with the batches of jobs. */

import { batchesJson } from "./batches_json.js";

addEventListener("message", async ({ data: { module, jobs } }) => {
  const { open } = await import(module);
  postMessage(await batchesJson(open, jobs));
});
