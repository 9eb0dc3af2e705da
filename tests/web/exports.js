/** Small exports and a server for tests of the loader: written here, so that no Python is needed. */

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { deflateSync } from "node:zlib";
import { crc32 } from "../../mmdata/web/loader/crc32.js";

/** @typedef {{ rows: number, shardRows: number, evaluation?: boolean }} SplitOptions */

const SIZE = [8, 6];
const IMAGE = SIZE[0] * SIZE[1] * 3;
const WORDS = ["a", "red", "house", "behind", "trees", "é", "日本"];

/** A folder that is removed when the process ends. */
export function temporaryFolder() {
  const folder = mkdtempSync(join(tmpdir(), "mmdata-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const root = temporaryFolder();
let written = 0;

/**
 * Writes an export in a folder of its own.
 *
 * @param {Parameters<typeof writeExport>[1]} [options]
 * @returns {string} The folder.
 */
export function newExport(options) {
  const folder = join(root, String(written++));
  writeExport(folder, options);
  return folder;
}

/**
 * The image of a row: bytes that no other row has.
 *
 * @param {number} row Counted over all splits.
 */
export function imageOf(row) {
  return Uint8Array.from({ length: IMAGE }, (_, i) => (i * 7 + row * 13 + (i * row) / 5) & 255);
}

/**
 * The captions of a row: 1 to 3.
 *
 * @param {number} row Counted over all splits.
 */
export function captionsOf(row) {
  return Array.from({ length: 1 + (row % 3) }, (_, i) =>
    [...WORDS.slice(0, 1 + ((row + 2 * i) % 6)), row].join(" "),
  );
}

/** @param {string} caption */
export function idsOf(caption) {
  return caption.split(" ").map((word) => 10 + (WORDS.indexOf(word) + 1));
}

/**
 * Writes an export.
 *
 * @param {string} folder
 * @param {{ encoding?: "png" | "npy", captions?: string, shuffle?: any, order?: object, text?: object,
 *   splits?: Record<string, SplitOptions>, task?: object, filter?: number,
 *   age?: (row: number) => bigint }} options
 * @returns {any} Its manifest.
 */
export function writeExport(folder, options = {}) {
  const { encoding = "npy", captions = "all" } = options;
  const splits = options.splits ?? {
    train: { rows: 20, shardRows: 8 },
    test: { rows: 5, shardRows: 8, evaluation: true },
  };
  mkdirSync(folder, { recursive: true });
  const write = (
    /** @type {string} */ stem,
    /** @type {string} */ suffix,
    /** @type {any} */ bytes,
  ) => {
    const crc = crc32(bytes);
    const file = `${stem}.${crc.toString(16).padStart(8, "0")}.${suffix}`;
    writeFileSync(join(folder, file), bytes);
    return { file, bytes: bytes.length, crc32: crc };
  };
  const shards = [];
  const sizes = /** @type {Record<string, any>} */ ({});
  let row = 0;
  for (const [split, { rows, shardRows, evaluation = false }] of Object.entries(splits)) {
    sizes[split] = { rows, captions: 0, shards: 0, shard_rows: shardRows, evaluation };
    for (let begin = 0; begin < rows; begin += shardRows) {
      const count = Math.min(shardRows, rows - begin);
      const all = Array.from({ length: count }, (_, i) => row + i);
      const shard = writeShard(write, shards.length, split, all, begin, options);
      sizes[split].captions += shard.captions;
      sizes[split].shards += 1;
      shards.push(shard);
      row += count;
    }
  }
  const manifest = {
    format: "mmdata web",
    version: 1,
    fingerprint: "0",
    settings: {
      versions: { pixels: 1, text: 2, order: 2 },
      pixels: {
        size: SIZE,
        channels: 3,
        fit: "stretch",
        interpolation: "bilinear",
        background: [255, 255, 255],
        max_crop: 1,
        load_size: null,
        normalize: "unit",
      },
      task: {
        name: "captioning",
        captions,
        lookahead: 1,
        columns: ["age"],
        class_names: [],
        ...options.task,
      },
      text: {
        length: 7,
        start_id: 2,
        end_id: 3,
        pad_id: 0,
        prompt: [],
        padding: "length",
        padding_side: "right",
        template: "{caption}",
        clean: null,
        tokenizer: null,
        ...options.text,
      },
      order: {
        seed: "0",
        shuffle: true,
        batch_size: 4,
        remainder: "keep",
        window: 2,
        ...options.order,
      },
      splits: sizes,
    },
    columns: columnsOf(encoding),
    rows: row,
    shards,
  };
  writeFileSync(join(folder, "manifest.json"), JSON.stringify(manifest));
  return manifest;
}

/** @param {"png" | "npy"} encoding */
function columnsOf(encoding) {
  const fixed = (/** @type {string} */ dtype) => ({ kind: "fixed", dtype, shape: [] });
  const ragged = (/** @type {string} */ dtype) => ({ kind: "ragged", dtype, shape: [1] });
  const isPng = encoding === "png";
  return {
    image: { kind: isPng ? "sprite" : "fixed", dtype: "|u1", shape: [...SIZE, 3] },
    ...(!isPng && { image_crc32: fixed("<u4") }),
    captions: ragged("|u1"),
    token_ids: ragged("<u2"),
    caption_count: fixed("<u4"),
    image_id: fixed("<i4"),
    weight: fixed("<f4"),
    label: fixed("<i4"),
    "column:age": fixed("<i8"),
  };
}

/**
 * @param {any} write
 * @param {number} number
 * @param {string} split
 * @param {number[]} rows
 * @param {number} firstInSplit
 * @param {NonNullable<Parameters<typeof writeExport>[1]>} options
 */
function writeShard(write, number, split, rows, firstInSplit, options) {
  const { encoding = "npy", filter = 2, age = (row) => BigInt(row - 3) } = options;
  const stem = `0000${number}`;
  const images = rows.map(imageOf);
  const texts = rows.flatMap(captionsOf);
  const fixed = (/** @type {string} */ name, /** @type {any} */ values) =>
    write(`${stem}.${name}`, "npy", npy(values));
  const ragged = (/** @type {string} */ name, /** @type {any[]} */ items) => {
    const starts = [0];
    for (const item of items) starts.push(starts[starts.length - 1] + item.length);
    const values = new items[0].constructor(starts[items.length]);
    items.forEach((item, i) => values.set(item, starts[i]));
    return { ...fixed(name, values), offsets: fixed(`${name}_offsets`, Uint32Array.from(starts)) };
  };
  const grid = [Math.ceil(rows.length / 3), 3];
  const isPng = encoding === "png";
  const files = {
    image: isPng
      ? { ...write(`${stem}.image`, "png", sprite(images, grid, filter)), grid }
      : fixed("image", Uint8Array.from(images.flatMap((image) => [...image]))),
    ...(!isPng && { image_crc32: fixed("image_crc32", Uint32Array.from(images, crc32)) }),
    captions: ragged(
      "captions",
      texts.map((text) => new TextEncoder().encode(text)),
    ),
    token_ids: ragged(
      "token_ids",
      texts.map((text) => Uint16Array.from(idsOf(text))),
    ),
    caption_count: fixed(
      "caption_count",
      Uint32Array.from(rows, (row) => captionsOf(row).length),
    ),
    image_id: fixed(
      "image_id",
      Int32Array.from(rows, (_, i) => firstInSplit + i),
    ),
    weight: fixed(
      "weight",
      Float32Array.from(rows, (row) => (row % 4) / 2),
    ),
    label: fixed(
      "label",
      Int32Array.from(rows, (row) => row % 3),
    ),
    "column:age": fixed("column_0", BigInt64Array.from(rows, age)),
  };
  return { split, rows: rows.length, captions: texts.length, files };
}

/**
 * A one-dimensional array as `.npy`.
 *
 * @param {any} values A typed array.
 */
export function npy(values) {
  const kinds = {
    Uint8: "|u1",
    Uint16: "<u2",
    Uint32: "<u4",
    Int32: "<i4",
    Float32: "<f4",
    BigInt64: "<i8",
  };
  const descr = Reflect.get(kinds, values.constructor.name.replace("Array", ""));
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${values.length},)}`;
  const header = text.padEnd(117) + "\n";
  const start = [0x93, ...Buffer.from("NUMPY"), 1, 0, header.length, 0];
  return Buffer.concat([Buffer.from(start), Buffer.from(header), Buffer.from(values.buffer)]);
}

/**
 * Images in a grid as an opaque RGB PNG.
 *
 * @param {Uint8Array[]} images
 * @param {number[]} grid
 * @param {number} filter Of all lines: 0, 1, 2; others are written without being applied.
 */
export function sprite(images, grid, filter) {
  const [height, width] = [grid[0] * SIZE[0], grid[1] * SIZE[1]];
  const line = 3 * width;
  const pixels = new Uint8Array(height * line);
  images.forEach((image, i) => {
    const [top, left] = [Math.floor(i / grid[1]) * SIZE[0], (i % grid[1]) * SIZE[1]];
    for (let y = 0; y < SIZE[0]; y++) {
      const part = image.subarray(y * SIZE[1] * 3, (y + 1) * SIZE[1] * 3);
      pixels.set(part, (top + y) * line + left * 3);
    }
  });
  const lines = new Uint8Array(height * (line + 1));
  for (let y = 0; y < height; y++) {
    lines[y * (line + 1)] = filter;
    for (let x = 0; x < line; x++) {
      const left = filter === 1 && x >= 3 ? pixels[y * line + x - 3] : 0;
      const above = filter === 2 && y ? pixels[(y - 1) * line + x] : 0;
      lines[y * (line + 1) + 1 + x] = pixels[y * line + x] - left - above;
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const chunks = [
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(lines)),
    chunk("IEND", Buffer.alloc(0)),
  ];
  return Buffer.concat([signature, ...chunks]);
}

/**
 * @param {string} name
 * @param {Uint8Array} data
 */
export function chunk(name, data) {
  const named = Buffer.concat([Buffer.from(name), data]);
  const [length, crc] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  crc.writeUInt32BE(crc32(named));
  return Buffer.concat([length, named, crc]);
}

/**
 * Serves a folder; see server.py.
 *
 * @param {string} folder
 * @returns {Promise<{ url: string, log: () => Promise<[string, string | null][]>, close: () => void }>}
 */
export async function serve(folder) {
  const script = fileURLToPath(new URL("server.py", import.meta.url));
  const server = spawn(process.env.PYTHON ?? "python3", [script, folder], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const url = await new Promise((resolve, reject) => {
    server.stdout.once("data", (line) => resolve(String(line).trim()));
    server.once("error", reject);
  });
  return {
    url,
    log: async () => (await fetch(`${url}log`)).json(),
    close: () => server.kill(),
  };
}

/**
 * @param {string} folder
 * @param {string} file
 */
export function readJson(folder, file) {
  return JSON.parse(readFileSync(join(folder, file), "utf8"));
}
