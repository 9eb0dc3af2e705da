/** Prepares pictures: the other side of worker_client.js. */

import { prepare } from "./prepare.js";
import { isNode } from "../loader/runtime.js";

/** @typedef {{id: number, picture: import("./prepare.js").Picture, settings: import("./prepare.js").PixelSettings}} Task */

/**
 * @param {Task} task
 * @param {(answer: object, transfer: ArrayBuffer[]) => void} send
 */
async function answer({ id, picture, settings }, send) {
  try {
    const pixels = await prepare(picture, settings);
    send({ id, pixels }, [/** @type {ArrayBuffer} */ (pixels.buffer)]);
  } catch (error) {
    send({ id, message: /** @type {Error} */ (error).message }, []);
  }
}

if (isNode) {
  import("node:worker_threads").then(({ parentPort }) => {
    parentPort?.on("message", (task) => {
      answer(task, (result, transfer) => parentPort.postMessage(result, transfer));
    });
  });
} else {
  const scope = /** @type {DedicatedWorkerGlobalScope} */ (/** @type {unknown} */ (globalThis));
  scope.onmessage = ({ data: task }) => {
    answer(task, (result, transfer) => scope.postMessage(result, transfer));
  };
}
