/** Files of a web server, with HTTP ranges. */

import { cutOff } from "./damage.js";
import { limit } from "./limit.js";

const AT_ONCE = 8;
const JOIN_GAP = 32 * 1024; // a request costs as much as about this many bytes

/**
 * @param {URL} base The folder, or its manifest.
 * @param {string} manifest
 * @param {typeof globalThis.fetch} fetch
 * @returns {import("./files.js").Files}
 */
export function httpFiles(base, manifest, fetch) {
  const limited = limit(AT_ONCE);

  /**
   * @param {string} name
   * @param {RequestInit} options
   * @returns {Promise<{ status: number, bytes: Uint8Array }>}
   */
  function request(name, options) {
    const url = new URL(name, base);
    return limited(() => retryOnce(() => download(url, options, fetch), url));
  }

  /**
   * @param {string} name
   * @param {[number, number]} range
   */
  async function readRange(name, [begin, end]) {
    const headers = { Range: `bytes=${begin}-${end - 1}` };
    const { status, bytes } = await request(name, { headers });
    if (status === 206 && bytes.length !== end - begin) {
      throw cutOff(new URL(name, base).href, `${bytes.length} of ${end - begin} requested bytes`);
    }
    return { isWhole: status !== 206, bytes };
  }

  return {
    manifest,
    joinGap: JOIN_GAP,
    where: (name) => new URL(name, base).href,
    read: async (name, fresh) =>
      (await request(name, { cache: fresh ? "no-cache" : "default" })).bytes,
    readRanges: async (name, ranges) => {
      const first = await readRange(name, ranges[0]);
      if (first.isWhole) return first.bytes;
      const rest = await Promise.all(ranges.slice(1).map((range) => readRange(name, range)));
      const whole = rest.find(({ isWhole }) => isWhole);
      return whole ? whole.bytes : [first, ...rest].map(({ bytes }) => bytes);
    },
  };
}

/**
 * @param {URL} url
 * @param {RequestInit} options
 * @param {typeof globalThis.fetch} fetch
 */
async function download(url, options, fetch) {
  const response = await fetch(url, options);
  if (!response.ok) throw refused(url, response);
  return { status: response.status, bytes: new Uint8Array(await response.arrayBuffer()) };
}

/**
 * @param {URL} url
 * @param {Response} response
 */
function refused(url, response) {
  response.body?.cancel().catch(() => {});
  if (response.status === 416) return cutOff(url.href, "no bytes where rows should be");
  const next =
    response.status === 404
      ? "The file is missing on the server: copy the whole export there, and check the address."
      : "Open this address in a browser to see what the server says.";
  const answer = `${response.status} ${response.statusText}`.trim();
  return Object.assign(new Error(`${url} cannot be read; the server answered ${answer}. ${next}`), {
    status: response.status,
  });
}

/**
 * Tries again once if the network fails: fetch then throws a TypeError.
 *
 * @template T
 * @param {() => Promise<T>} request
 * @param {URL} url
 * @returns {Promise<T>}
 */
async function retryOnce(request, url) {
  for (let retries = 1; ; retries--) {
    try {
      return await request();
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      if (retries === 0) throw unreachable(url, error);
    }
  }
}

/**
 * @param {URL} url
 * @param {TypeError} error
 */
function unreachable(url, error) {
  const { origin } = globalThis.location ?? {};
  const isForeign = origin && origin !== "null" && origin !== url.origin;
  const cors = isForeign
    ? ` This page is from ${origin}, so the server must also allow it to read files: it must answer ` +
      `with the header "Access-Control-Allow-Origin: ${origin}" (CORS).`
    : "";
  return new Error(
    `${url} cannot be read; the connection failed twice (${error.message}). ` +
      `Check the address, the network, and whether the server is running.${cors}`,
    { cause: error },
  );
}
