/** The tokenizer that an export holds. */

import { requireSame } from "./damage.js";
import { loadTokenizer } from "../text/tokenizers.js";

/**
 * @param {import("./files.js").Files} files
 * @param {import("../mmdata.d.ts").TextSettings} text
 * @param {string} name The file: "tokenizer.", its checksum in hex digits, ".json".
 */
export async function openTokenizer(files, text, name) {
  const content = await files.read(name);
  const crc32 = parseInt(name.split(".")[1], 16);
  requireSame(content, { bytes: content.length, crc32 }, files.where(name));
  return loadTokenizer(JSON.parse(new TextDecoder().decode(content)), text);
}
