/** Calls of functions in a Worker: of a page, or of Node. */

import { isNode } from "./runtime.js";

/**
 * @typedef {{ message: (message: any) => void, error: (error: Error) => void }} Listeners
 *
 * @typedef {object} Port
 * @property {(message: any) => void} post
 * @property {() => void} end
 * @property {(waits: boolean) => void} hold Whether Node stays alive for the Worker.
 */

/** Functions that a Worker answers, see `answerCalls`. */
export class WorkerCalls {
  /** @type {Map<number, { resolve: (result: any) => void, reject: (error: Error) => void }>} */
  #waiting = new Map();
  #count = 0;
  /** @type {Error | null} */
  #failed = null;
  /** @type {Port} */
  #port;

  /** @param {(on: Listeners) => Port} start */
  constructor(start) {
    this.#port = start({
      message: (message) => this.#settle(message),
      error: (error) => this.#fail(error),
    });
  }

  /**
   * Starts a Worker.
   *
   * @param {URL} module What it runs.
   * @param {string} option What the caller wrote to get a Worker, for messages.
   */
  static async start(module, option) {
    const start = isNode ? await nodeWorker(module) : pageWorker(module, option);
    return new WorkerCalls(start);
  }

  /**
   * @param {string} name
   * @param {any} request
   * @returns {Promise<any>} What the function returned.
   */
  call(name, request) {
    if (this.#failed) return Promise.reject(this.#failed);
    return new Promise((resolve, reject) => {
      const id = ++this.#count;
      this.#port.post({ id, name, request });
      this.#port.hold(true);
      this.#waiting.set(id, { resolve, reject });
    });
  }

  /** @param {string} reason Why calls fail that were not answered. */
  close(reason) {
    this.#port.end();
    this.#fail(new Error(reason));
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
 * Answers calls in a Worker; moves the memory of typed arrays instead of copying it.
 *
 * @param {Record<string, (request: any) => any>} functions
 */
export async function answerCalls(functions) {
  const port = await connect();
  port.listen(async ({ id, name, request }) => {
    try {
      const result = await functions[name](request);
      port.post({ id, result }, buffersOf(result));
    } catch (error) {
      const { name, message } = error instanceof Error ? error : new Error(String(error));
      port.post({ id, error: { name, message } }, []);
    }
  });
}

/**
 * The memory of the typed arrays in a value.
 *
 * @param {any} value
 * @returns {any[]}
 */
function buffersOf(value) {
  if (ArrayBuffer.isView(value)) return [value.buffer];
  return value?.constructor === Object ? Object.values(value).flatMap(buffersOf) : [];
}

/** @returns {Promise<{ post: (message: any, transfer: any[]) => void, listen: (f: (message: any) => void) => void }>} */
async function connect() {
  if (!isNode) {
    const scope = /** @type {any} */ (globalThis);
    return {
      post: scope.postMessage.bind(scope),
      listen: (f) =>
        scope.addEventListener("message", (/** @type {MessageEvent} */ event) => f(event.data)),
    };
  }
  const { parentPort } = await import("node:worker_threads");
  if (!parentPort) throw new Error("worker.js runs in a Worker only; import mmdata.js instead.");
  return {
    post: parentPort.postMessage.bind(parentPort),
    listen: (f) => parentPort.on("message", f),
  };
}

/**
 * @param {URL} module
 * @param {string} option
 * @returns {(on: Listeners) => Port}
 */
function pageWorker(module, option) {
  return (on) => {
    const worker = startInPage(module);
    worker.onmessage = ({ data }) => on.message(data);
    worker.onerror = (event) => {
      event.preventDefault();
      const reason = event.message ?? "it could not be loaded";
      on.error(
        new Error(
          `${option} needs ${module}, which failed: ${reason}. Put all modules of mmdata.js beside ` +
            "it, or leave out worker: true.",
        ),
      );
    };
    return {
      post: (message) => worker.postMessage(message),
      end: () => worker.terminate(),
      hold: () => {},
    };
  };
}

/** @param {URL} module */
function startInPage(module) {
  if (module.origin === globalThis.location.origin) return new Worker(module, { type: "module" });
  // Browsers start no Worker from another origin, but a module may import from there.
  const script = `import ${JSON.stringify(module.href)};`;
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const worker = new Worker(url, { type: "module" });
  worker.addEventListener("message", () => URL.revokeObjectURL(url), { once: true });
  return worker;
}

/**
 * @param {URL} module
 * @returns {Promise<(on: Listeners) => Port>}
 */
async function nodeWorker(module) {
  const { Worker } = await import("node:worker_threads");
  return (on) => {
    const worker = new Worker(module, { execArgv: [] }); // not --input-type, which is for --eval
    worker.on("message", on.message);
    worker.on("error", on.error);
    return {
      post: (message) => worker.postMessage(message),
      end: () => void worker.terminate(),
      hold: (waits) => (waits ? worker.ref() : worker.unref()),
    };
  };
}
