/** Reads batches as plain data, for tests that compare them with Python's. */

/**
 * @typedef {{ url: string, open?: object, batches?: object, next?: string }} Job What to open, and
 *   which batches; or a split of which two epochs are read as one next batch each.
 *
 * @param {typeof import("../../mmdata/web/mmdata.d.ts").open} open
 * @param {Job[]} jobs
 * @returns {Promise<any[][]>} The batches of each job; typed arrays as [name, hex digits].
 */
export async function batchesJson(open, jobs) {
  const results = [];
  for (const job of jobs) {
    const data = await open(job.url, { tokenizer: false, ...job.open });
    const batches = [];
    if (job.next) {
      const size = data.size(job.next);
      for (let i = 0; i < 2; i++) batches.push(plain(await data.nextBatch(size, job.next)));
    } else for await (const batch of data.batches(job.batches)) batches.push(plain(batch));
    data.close();
    results.push(batches);
  }
  return results;
}

/**
 * @param {any} value
 * @returns {any}
 */
function plain(value) {
  if (ArrayBuffer.isView(value)) return [value.constructor.name, hex(value)];
  if (value?.constructor !== Object) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each)]));
}

/** @param {ArrayBufferView} view */
function hex({ buffer, byteOffset, byteLength }) {
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
