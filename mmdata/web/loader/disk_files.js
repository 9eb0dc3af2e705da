/** Files on the disk, in Node. */

import { open, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { cutOff } from "./damage.js";

/**
 * @param {URL} base The folder, or its manifest.
 * @param {string} manifest
 * @returns {import("./files.js").Files}
 */
export function diskFiles(base, manifest) {
  /** @param {string} name */
  const where = (name) => fileURLToPath(new URL(name, base));

  return {
    manifest,
    joinGap: 0,
    where,
    read: async (name) => {
      const content = await readFile(where(name)).catch((error) => {
        throw unreadable(where(name), error);
      });
      return new Uint8Array(content.buffer, content.byteOffset, content.length);
    },
    readRanges: async (name, ranges) => {
      const file = await open(where(name)).catch((error) => {
        throw unreadable(where(name), error);
      });
      try {
        return await Promise.all(ranges.map((range) => readRange(file, range, where(name))));
      } finally {
        await file.close();
      }
    },
  };
}

/**
 * @param {import("node:fs/promises").FileHandle} file
 * @param {[number, number]} range
 * @param {string} path
 */
async function readRange(file, [begin, end], path) {
  const bytes = new Uint8Array(end - begin);
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, done, bytes.length - done, begin + done);
    if (!bytesRead) throw cutOff(path, `${done} of ${bytes.length} requested bytes`);
    done += bytesRead;
  }
  return bytes;
}

/**
 * @param {string} path
 * @param {NodeJS.ErrnoException} error
 */
function unreadable(path, error) {
  const isMissing = error.code === "ENOENT";
  const next = isMissing ? "Check the path, or export again." : "";
  const reason = isMissing ? "there is no such file" : error.message;
  return Object.assign(
    new Error(`${path} cannot be read; ${reason}. ${next}`.trim(), { cause: error }),
    {
      status: isMissing ? 404 : 0,
    },
  );
}
