/** Prints what the tokenizer of an export makes of a caption, and a prepared picture; see test_loader.py. */

import { pathToFileURL } from "node:url";

const [module, url, picture, caption] = process.argv.slice(2);
const { imageBatches, open } = await import(String(pathToFileURL(module)));
const data = await open(url);
const ids = data.tokenizer.encode(caption);
const { tokenIds, paddingMask } = data.tokenizer.pack(ids);
const { value: batch } = await imageBatches([picture], { imageSize: data.imageSize }).next();
console.log(
  JSON.stringify({
    text: data.tokenizer.decode(ids),
    packed: [...tokenIds],
    mask: [...paddingMask],
    prepared: [...(await data.preprocess(picture))],
    batch: [...batch.images],
  }),
);
