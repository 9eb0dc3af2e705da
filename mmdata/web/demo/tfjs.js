/** Loads TensorFlow.js: no other code of the page needs more than `tf`. */

const FILE = "tf.min.js";

/** What the page shows if TensorFlow.js is missing. */
export const WHERE_TO_GET =
  "TensorFlow.js is missing. Run npm install @tensorflow/tfjs, then copy " +
  "node_modules/@tensorflow/tfjs/dist/tf.min.js beside this page, or choose that file here.";

/**
 * TensorFlow.js from the page's folder, or from the path in the page's address: `?tfjs=path`.
 *
 * @returns {Promise<any>} `tf`.
 * @throws {Error} It is not there, or the path is on another server.
 */
export async function loadTfjs() {
  const path = new URLSearchParams(location.search).get("tfjs") ?? FILE;
  const url = new URL(path, document.baseURI);
  if (url.origin !== location.origin) {
    throw new Error(
      `?tfjs=... must be a path on this server, so that a link cannot run foreign code here; got ` +
        `${url.href}. ${WHERE_TO_GET}`,
    );
  }
  return run(url.href);
}

/**
 * @param {Blob} file `tf.min.js`, as a visitor chose it.
 * @returns {Promise<any>} `tf`.
 */
export async function tfjsFromFile(file) {
  const url = URL.createObjectURL(file);
  try {
    return await run(url);
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** @param {string} url */
async function run(url) {
  const script = document.createElement("script");
  script.src = url;
  await new Promise((resolve, reject) => {
    script.onload = resolve;
    script.onerror = () => reject(new Error(WHERE_TO_GET));
    document.head.append(script);
  });
  const { tf } = /** @type {any} */ (globalThis);
  if (!tf?.version) throw new Error(`The file must be tf.min.js; got another one. ${WHERE_TO_GET}`);
  await tf.ready();
  return tf;
}
