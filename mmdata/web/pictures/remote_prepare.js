/** `prepare` in a Worker. */

import { isNode } from "../loader/runtime.js";
import { WorkerCalls } from "../loader/worker_calls.js";

/** @typedef {import("./prepare.js").Picture} Picture */
/** @typedef {import("./prepare.js").PixelSettings} PixelSettings */

/**
 * Starts a Worker.
 *
 * @returns {Promise<{prepare: (picture: Picture, settings: PixelSettings) => Promise<Uint8Array>, close: () => void}>}
 */
export async function startPrepare() {
  const module = new URL("./worker.js", import.meta.url);
  const calls = await WorkerCalls.start(module, "imageBatches(pictures, { worker: true })");
  return {
    prepare: (picture, settings) => calls.call("prepare", { picture: sendable(picture), settings }),
    close: () => calls.close("imageBatches ended before this picture was prepared."),
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
