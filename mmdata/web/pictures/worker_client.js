/** Prepares pictures in a Worker: `Worker` of a page, `worker_threads` of Node. */

import { isNode } from "../loader/runtime.js";

/** @typedef {import("./prepare.js").Picture} Picture */
/** @typedef {import("./prepare.js").PixelSettings} PixelSettings */
/** @typedef {{id: number, pixels?: Uint8Array, message?: string}} Answer */

/**
 * @typedef {object} Port
 * @property {(message: unknown) => void} send
 * @property {() => void} close
 */

/**
 * Starts a Worker.
 *
 * @returns {Promise<{prepare: (picture: Picture, settings: PixelSettings) => Promise<Uint8Array>, close: () => void}>}
 */
export async function startPictureWorker() {
  /** @type {Map<number, {resolve: (pixels: Uint8Array) => void, reject: (error: Error) => void}>} */
  const waiting = new Map();
  /** @type {Error | null} */
  let failure = null;
  const port = await start(
    ({ id, pixels, message }) => {
      const { resolve, reject } = waiting.get(id) ?? {};
      waiting.delete(id);
      if (pixels) resolve?.(pixels);
      else reject?.(new Error(message));
    },
    (message) => {
      failure = new Error(`the Worker failed (${message}); worker: false works without it`);
      for (const { reject } of waiting.values()) reject(failure);
      waiting.clear();
    },
  );
  let last = 0;
  return {
    prepare: (picture, settings) =>
      new Promise((resolve, reject) => {
        if (failure) throw failure;
        const id = ++last;
        port.send({ id, picture: sendable(picture), settings });
        waiting.set(id, { resolve, reject });
      }),
    close: port.close,
  };
}

/**
 * A Worker resolves URLs against its own address, so they are sent as absolute ones.
 *
 * @param {Picture} picture
 */
function sendable(picture) {
  if (picture instanceof URL) return picture.href;
  if (typeof picture !== "string" || isNode) return picture;
  return new URL(picture, globalThis.document?.baseURI ?? location.href).href;
}

/**
 * @param {(answer: Answer) => void} onAnswer
 * @param {(message: string) => void} onFailure
 * @returns {Promise<Port>}
 */
async function start(onAnswer, onFailure) {
  const url = new URL("./worker.js", import.meta.url);
  if (isNode) {
    const { Worker } = await import("node:worker_threads");
    const worker = new Worker(url);
    worker.on("message", onAnswer);
    worker.on("error", (error) => onFailure(error.message));
    return { send: (message) => worker.postMessage(message), close: () => void worker.terminate() };
  }
  const worker = new Worker(url, { type: "module" });
  worker.onmessage = ({ data }) => onAnswer(data);
  worker.onerror = ({ message }) => onFailure(message || `${url} cannot be loaded`);
  return { send: (message) => worker.postMessage(message), close: () => worker.terminate() };
}
