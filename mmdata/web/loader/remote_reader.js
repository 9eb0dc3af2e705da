/** A `Reader` in a Worker. */

import { isNode } from "./runtime.js";

/**
 * @typedef {import("./reader.js").Request} Request
 * @typedef {import("../mmdata.d.ts").Batch} Batch
 *
 * @typedef {object} Port
 * @property {(message: any) => void} post
 * @property {() => void} end
 * @property {(waits: boolean) => void} hold Whether Node stays alive for the Worker.
 */

export class RemoteReader {
  /** @type {Map<number, { resolve: (result: any) => void, reject: (error: Error) => void }>} */
  #waiting = new Map();
  #calls = 0;
  /** @type {Error | null} */
  #failed = null;
  /** @type {Port} */
  #port;

  /** @param {(on: { message: (m: any) => void, error: (e: Error) => void }) => Port} start */
  constructor(start) {
    this.#port = start({
      message: (message) => this.#settle(message),
      error: (error) => this.#fail(error),
    });
  }

  /**
   * Starts a Worker, and opens an export there.
   *
   * @param {{ address: string, manifest: any, cacheBytes: number }} request
   */
  static async open(request) {
    const reader = new RemoteReader(isNode ? await nodeWorker() : pageWorker);
    await reader.#call("open", request);
    return reader;
  }

  /**
   * @param {Request} request
   * @returns {Promise<Batch>}
   */
  batch(request) {
    return this.#call("batch", request);
  }

  /**
   * @param {Request} request
   * @returns {Promise<Batch>}
   */
  examples(request) {
    return this.#call("examples", request);
  }

  close() {
    this.#port.end();
    this.#fail(new Error("data.close() was called while a batch was read."));
  }

  /**
   * @param {string} call
   * @param {any} request
   * @returns {Promise<any>}
   */
  #call(call, request) {
    if (this.#failed) return Promise.reject(this.#failed);
    return new Promise((resolve, reject) => {
      this.#port.hold(true);
      this.#waiting.set(++this.#calls, { resolve, reject });
      this.#port.post({ id: this.#calls, call, request });
    });
  }

  /** @param {any} message */
  #settle({ id, result, error }) {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (!this.#waiting.size) this.#port.hold(false);
    if (error) waiting?.reject(Object.assign(new Error(error.message), { name: error.name }));
    else waiting?.resolve(result);
  }

  /** @param {Error} error */
  #fail(error) {
    this.#failed ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

/**
 * @param {{ message: (m: any) => void, error: (e: Error) => void }} on
 * @returns {Port}
 */
function pageWorker(on) {
  const worker = startInPage();
  worker.onmessage = ({ data }) => on.message(data);
  worker.onerror = (event) => {
    event.preventDefault();
    const reason = event.message ?? "it could not be loaded";
    on.error(
      new Error(
        `open(url, { worker: true }) needs ${new URL("./worker.js", import.meta.url)}, which failed: ` +
          `${reason}. Put all modules of mmdata.js beside it, or leave out worker: true.`,
      ),
    );
  };
  return {
    post: (message) => worker.postMessage(message),
    end: () => worker.terminate(),
    hold: () => {},
  };
}

function startInPage() {
  const { origin } = new URL(import.meta.url);
  if (origin === globalThis.location.origin) {
    return new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  }
  // Browsers start no Worker from another origin, but a module may import from there.
  const script = `import ${JSON.stringify(new URL("./worker.js", import.meta.url).href)};`;
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const worker = new Worker(url, { type: "module" });
  worker.addEventListener("message", () => URL.revokeObjectURL(url), { once: true });
  return worker;
}

/** @returns {Promise<(on: { message: (m: any) => void, error: (e: Error) => void }) => Port>} */
async function nodeWorker() {
  const { Worker } = await import("node:worker_threads");
  return (on) => {
    const worker = new Worker(new URL("./worker.js", import.meta.url));
    worker.on("message", on.message);
    worker.on("error", on.error);
    return {
      post: (message) => worker.postMessage(message),
      end: () => void worker.terminate(),
      hold: (waits) => (waits ? worker.ref() : worker.unref()),
    };
  };
}
