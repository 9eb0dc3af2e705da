/** Reads picture files: picked in a page, over HTTP, or on the disk of Node. */

import { isNode } from "../loader/runtime.js";

/**
 * The bytes of a file.
 *
 * @param {Blob | Uint8Array | ArrayBuffer | string | URL} file
 * @returns {Promise<Uint8Array>}
 * @throws {Error} It cannot be read; the message says why.
 */
export async function loadFile(file) {
  if (file instanceof Uint8Array) return file;
  if (file instanceof ArrayBuffer) return new Uint8Array(file);
  if (file instanceof Blob) return new Uint8Array(await file.arrayBuffer().catch(unreadable));
  const address = String(file);
  const isWeb = /^(https?|data|blob):/i.test(address);
  return isNode && !isWeb ? readFromDisk(address) : download(address);
}

/** @param {string} address */
async function readFromDisk(address) {
  const { readFile } = await import("node:fs/promises");
  const path = address.startsWith("file:") ? new URL(address) : address;
  return new Uint8Array(await readFile(path).catch(unreadable));
}

/**
 * @param {Error} error
 * @returns {never}
 */
function unreadable(error) {
  throw new Error(`the file cannot be read: ${error.message}`, { cause: error });
}

/** @param {string} address */
async function download(address) {
  const response = await fetch(address).catch((error) => {
    throw new Error(
      `it cannot be loaded (${error.message}). Check the address and the network; another server ` +
        'than that of the page must allow it: "Access-Control-Allow-Origin" (CORS)',
      { cause: error },
    );
  });
  if (response.ok) return new Uint8Array(await response.arrayBuffer().catch(unreadable));
  response.body?.cancel().catch(() => {});
  throw new Error(`the server answered ${`${response.status} ${response.statusText}`.trim()}`);
}
