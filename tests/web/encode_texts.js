/**
 * Answers each line of JSON on the standard input with a line: { clean, texts } with the cleaned
 * texts; { json, text, texts, ids } with ids and packed ids of the texts, and texts of the ids.
 */
import { createInterface } from "node:readline";
import { cleaner } from "../../mmdata/web/text/clean.js";
import { loadTokenizer } from "../../mmdata/web/text/tokenizers.js";

const PACKED = 100;

/** @param {any} question */
async function answer({ clean, json, text, texts, ids }) {
  if (clean) return texts.map(cleaner(clean));
  const tokenizer = await loadTokenizer(json, text);
  const start = performance.now();
  /** @type {Int32Array[]} */
  const found = texts.map((/** @type {string} */ one) => tokenizer.encode(one));
  const perSecond = Math.round((1000 * texts.length) / (performance.now() - start));
  const packed = found.slice(0, PACKED).map((row) => Object.values(tokenizer.pack(row)));
  return {
    perSecond,
    ids: found.map((row) => [...row]),
    packed: packed.map((arrays) => arrays.map((array) => [...array])),
    texts: ids.map((/** @type {number[]} */ row) => tokenizer.decode(row)),
  };
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await answer(JSON.parse(line))));
}
