/** The files of an export: over HTTP, or on the disk of Node. */

import { httpFiles } from "./http_files.js";
import { isNode } from "./runtime.js";

/**
 * @typedef {object} Files
 * @property {string} manifest Name of the manifest.
 * @property {(name: string) => string} where The address of a file, for messages.
 * @property {(name: string, fresh?: boolean) => Promise<Uint8Array>} read The bytes of a file;
 *   `fresh` asks the server whether it changed.
 * @property {(name: string, ranges: [number, number][]) => Promise<Uint8Array[] | Uint8Array>}
 *   readRanges The bytes from the first number of each range up to the second one; or the whole
 *   file, from a server that does not know ranges.
 * @property {number} joinGap Two ranges are read as one if at most this many bytes are between them.
 */

/**
 * The files beside a manifest.
 *
 * @param {string | URL} address A folder, or its manifest.json: an http(s) or file URL; in Node a path
 *   too, and in a browser a URL relative to the page.
 * @param {typeof globalThis.fetch} fetch
 * @returns {Promise<Files>}
 */
export async function openFiles(address, fetch) {
  const url = await toUrl(String(address));
  const isManifest = url.pathname.endsWith(".json");
  if (!isManifest && !url.pathname.endsWith("/")) url.pathname += "/";
  const manifest = isManifest
    ? url.pathname.slice(url.pathname.lastIndexOf("/") + 1)
    : "manifest.json";
  if (/^https?:$/.test(url.protocol)) return httpFiles(url, manifest, fetch);
  if (url.protocol === "file:" && isNode) {
    const { diskFiles } = await import("./disk_files.js");
    return diskFiles(url, manifest);
  }
  throw new TypeError(
    `open(url) must be an http or https address${isNode ? ", a file: URL or a path" : ""}; got "${url}". ` +
      (url.protocol === "file:"
        ? "A page cannot read files from the disk: start a server in the folder, e.g. python -m http.server."
        : ""),
  );
}

/**
 * The absolute URL of an address.
 *
 * @param {string} address
 * @returns {Promise<URL>}
 */
export async function toUrl(address) {
  if (/^[a-z][a-z0-9+.-]+:/i.test(address)) return new URL(address);
  if (!isNode) return new URL(address, globalThis.document?.baseURI ?? globalThis.location.href);
  const { pathToFileURL } = await import("node:url");
  return pathToFileURL(address);
}
