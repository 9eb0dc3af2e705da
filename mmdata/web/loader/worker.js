/** Reads batches in a Worker: of a page, or of Node. */

import { openFiles } from "./files.js";
import { Reader } from "./reader.js";
import { isNode } from "./runtime.js";

/** @type {{ post: (message: any, transfer: any[]) => void, listen: (f: (message: any) => void) => void }} */
const port = await connect();
/** @type {Reader} */
let reader;

port.listen(async ({ id, call, request }) => {
  try {
    const result = await answer(call, request);
    port.post({ id, result }, result ? buffersOf(result) : []);
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    port.post({ id, error: { name, message } }, []);
  }
});

/**
 * @param {"open" | "batch" | "examples"} call
 * @param {any} request
 */
async function answer(call, request) {
  if (call !== "open") return reader[call](request);
  const files = await openFiles(request.address, globalThis.fetch);
  reader = new Reader(files, request.manifest, request.cacheBytes);
}

/** @param {import("../mmdata.d.ts").Batch} batch */
function buffersOf({ columns, ...batch }) {
  /** @type {any[]} */
  const values = [...Object.values(batch), ...Object.values(columns)];
  return values.filter(ArrayBuffer.isView).map(({ buffer }) => buffer);
}

async function connect() {
  if (!isNode) {
    const scope = /** @type {any} */ (globalThis);
    return {
      post: scope.postMessage.bind(scope),
      listen: (/** @type {(message: any) => void} */ f) =>
        scope.addEventListener("message", (/** @type {MessageEvent} */ event) => f(event.data)),
    };
  }
  const { parentPort } = await import("node:worker_threads");
  if (!parentPort) throw new Error("worker.js runs in a Worker only; import mmdata.js instead.");
  return {
    post: parentPort.postMessage.bind(parentPort),
    listen: (/** @type {(message: any) => void} */ f) => parentPort.on("message", f),
  };
}
