/** A `Reader` in a Worker. */

import { WorkerCalls } from "./worker_calls.js";

/**
 * @typedef {import("./reader.js").Request} Request
 * @typedef {import("../mmdata.d.ts").Batch} Batch
 */

export class RemoteReader {
  #calls;

  /** @param {WorkerCalls} calls */
  constructor(calls) {
    this.#calls = calls;
  }

  /**
   * Starts a Worker, and opens an export there.
   *
   * @param {{ address: string, manifest: any, cacheBytes: number }} request
   */
  static async open(request) {
    const module = new URL("./worker.js", import.meta.url);
    const calls = await WorkerCalls.start(module, "open(url, { worker: true })");
    await calls.call("open", request);
    return new RemoteReader(calls);
  }

  /**
   * @param {Request} request
   * @returns {Promise<Batch>}
   */
  batch(request) {
    return this.#calls.call("batch", request);
  }

  /**
   * @param {Request} request
   * @returns {Promise<Batch>}
   */
  examples(request) {
    return this.#calls.call("examples", request);
  }

  close() {
    this.#calls.close("data.close() was called while a batch was read.");
  }
}
