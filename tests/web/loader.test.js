/** mmdata.js on exports on the disk, in Node. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { readFileSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { open } from "../../mmdata/web/mmdata.js";
import { captionNumber, Order } from "../../mmdata/web/loader/order.js";
import { captionsOf, idsOf, imageOf, newExport, temporaryFolder } from "./exports.js";

const root = temporaryFolder();

/**
 * @template T
 * @param {AsyncIterable<T>} items
 */
async function all(items) {
  const found = [];
  for await (const item of items) found.push(item);
  return found;
}

/**
 * @param {import("../../mmdata/web/mmdata.d.ts").Batch} batch
 * @param {number} i
 */
function imageAt({ images, rows }, i) {
  const size = images.length / rows.length;
  return Uint8Array.from(images.subarray(i * size, (i + 1) * size));
}

for (const encoding of /** @type {const} */ (["npy", "png"])) {
  for (const worker of [false, true]) {
    test(`batches of ${encoding}${worker ? " in a Worker" : ""} hold what was exported`, async () => {
      const data = await open(newExport({ encoding }), { worker });
      assert.deepEqual(data.splits, ["train", "test"]);
      assert.deepEqual([data.rows("train"), data.size("train")], [20, 39]);
      assert.deepEqual([data.imageSize, data.channels, data.classNames], [[8, 6], 3, []]);
      const captions = Array.from({ length: 20 }, (_, row) => captionsOf(row)).flat();
      const order = new Order({ count: captions.length, batchSize: 4 });
      const batches = await all(data.batches({ epochs: 2 }));
      assert.equal(batches.length, 2 * data.stepsPerEpoch());
      for (const [step, batch] of batches.entries()) {
        assert.deepEqual([batch.step, batch.epoch], [step, Math.floor(step / 10)]);
        const expected = Array.from(order.indices(step), (index) => captions[index]);
        assert.deepEqual(batch.captions, expected);
        assert.deepEqual(batch.imageShape, [expected.length, 8, 6, 3]);
        batch.rows.forEach((row, i) => {
          assert.ok(captionsOf(row).includes(expected[i]));
          assert.deepEqual(imageAt(batch, i), imageOf(row));
          assert.equal(batch.imageIds[i], row);
          assert.equal(batch.weights[i], (row % 4) / 2);
          assert.equal(batch.labels?.[i], row % 3);
          assert.equal(batch.columns.age[i], BigInt(row - 3));
        });
      }
      data.close();
    });
  }
}

test("the test split is read in order, and its rows are its own", async () => {
  const data = await open(newExport());
  const [first, ...rest] = await all(data.batches({ split: "test", batchSize: 8, shuffle: true }));
  assert.deepEqual([...first.rows, ...rest.flatMap(({ rows }) => [...rows])].length, 10);
  assert.deepEqual(
    [...first.rows],
    [0, 1, 1, 1, 2, 2, 3, 3].map((_, i) => first.rows[i]),
  );
  assert.deepEqual(first.captions, [20, 21, 22, 23, 24].flatMap(captionsOf).slice(0, 8));
  assert.deepEqual(imageAt(first, 0), imageOf(20));
});

test("a step is the same wherever reading begins", async () => {
  const data = await open(newExport());
  const from = (/** @type {number} */ at) =>
    all(data.batches({ at, epochs: 2, seed: 7, batchSize: 5 }));
  const [whole, part] = [await from(0), await from(11)];
  assert.deepEqual(part.slice(0, 5), whole.slice(11));
  const far = await data.batches({ at: 2 ** 53 - 2, batchSize: 39 }).next();
  assert.equal(far.value?.epoch, 2 ** 53 - 2);
  assert.deepEqual([...(far.value?.rows ?? [])].sort((a, b) => a - b).length, 39);
});

test("seed, shuffle and batch size change the order, and each epoch has every example", async () => {
  const data = await open(newExport());
  const rows = async (/** @type {any} */ options) =>
    (await all(data.batches(options))).flatMap(({ captions }) => captions);
  const orders = [
    {},
    { seed: 1 },
    { seed: "18446744073709551615" },
    { shuffle: "blocks" },
    { shuffle: false },
    { at: 10 },
  ];
  const found = await Promise.all(orders.map(rows));
  assert.equal(new Set(found.map(String)).size, orders.length);
  for (const captions of found) assert.deepEqual([...captions].sort(), [...found[0]].sort());
});

test("policies choose one caption of each image", async () => {
  /** @type {Record<string, (captions: string[], index: number, epoch: number) => string>} */
  const policies = {
    first: (captions) => captions[0],
    longest: (captions) =>
      captions.reduce((a, b) => (Buffer.byteLength(b) > Buffer.byteLength(a) ? b : a)),
    cycle: (captions, index, epoch) => captions[(index + epoch) % captions.length],
    random: (captions, index, epoch) =>
      captions[captionNumber(index, "0", epoch) % captions.length],
  };
  for (const [captions, choose] of Object.entries(policies)) {
    const data = await open(newExport({ captions }));
    assert.equal(data.size("train"), 20);
    for (const split of ["train", "test"]) {
      for (const batch of await all(data.batches({ split, epochs: 3 }))) {
        const epoch = split === "test" ? 0 : batch.epoch;
        batch.rows.forEach((row, i) => {
          const texts = captionsOf(split === "test" ? 20 + row : row);
          assert.equal(batch.captions?.[i], choose(texts, row, epoch));
        });
      }
    }
  }
});

test("sequences are packed as the manifest says", async () => {
  /**
   * @param {object} text
   * @param {string} caption
   */
  const packed = async (text, caption) => {
    const data = await open(newExport({ text }));
    const batches = await all(data.batches({ split: "test", batchSize: 2 }));
    const batch = batches.find(({ captions }) => captions?.includes(caption));
    assert.ok(batch?.tokenIds && batch.paddingMask && batch.responseMask && batch.tokenShape);
    const width = batch.tokenShape[1];
    const at = Number(batch.captions?.indexOf(caption)) * width;
    const row = (/** @type {Int32Array} */ values) => [...values.subarray(at, at + width)];
    return [row(batch.tokenIds), row(batch.paddingMask), row(batch.responseMask)];
  };
  const [short, long] = ["a red house 20", "a red house behind trees é 23"]; // ids 11, 12, ..., 10
  assert.deepEqual(idsOf(short), [11, 12, 13, 10]);
  assert.deepEqual(captionsOf(20)[0], short);
  assert.deepEqual(await packed({}, short), [
    [2, 11, 12, 13, 10, 3, 0],
    [1, 1, 1, 1, 1, 1, 0],
    [0, 1, 1, 1, 1, 1, 0],
  ]);
  assert.deepEqual((await packed({}, long))[0], [2, 11, 12, 13, 14, 15, 3]);
  assert.deepEqual(
    await packed({ prompt: [8, 9], padding_side: "left", pad_id: 7, length: 9 }, short),
    [
      [7, 2, 8, 9, 11, 12, 13, 10, 3],
      [0, 1, 1, 1, 1, 1, 1, 1, 1],
      [0, 0, 0, 0, 1, 1, 1, 1, 1],
    ],
  );
  assert.deepEqual(
    (await packed({ padding: "longest", length: 20 }, short))[0],
    [2, 11, 12, 13, 10, 3, 0, 0],
  );
  assert.deepEqual(
    (await packed({ start_id: null, end_id: null, length: 3 }, short))[0],
    [11, 12, 13],
  );
});

test("the remainder of an epoch is kept, dropped or filled up; evaluation keeps it", async () => {
  const sizes = async (/** @type {string} */ remainder, /** @type {string} */ split) => {
    const data = await open(newExport({ order: { remainder, batch_size: 4 } }));
    const batches = await all(data.batches({ split }));
    assert.equal(batches.length, data.stepsPerEpoch({ split }));
    return batches.map(({ rows }) => rows.length);
  };
  assert.deepEqual((await sizes("keep", "train")).slice(-2), [4, 3]);
  assert.deepEqual((await sizes("drop", "train")).length, 9);
  assert.deepEqual((await sizes("wrap", "train")).slice(-2), [4, 4]);
  assert.deepEqual(await sizes("drop", "test"), [4, 4, 2]);
});

test("nextBatch goes on over epochs, each split by itself", async () => {
  const data = await open(newExport({ order: { remainder: "drop" } }));
  const ids = [];
  for (let i = 0; i < 6; i++) {
    const { xs, ys, sample_weight: weight } = await data.nextTrainBatch(13);
    assert.deepEqual(
      [xs.images.shape, xs.token_ids.shape, ys.shape],
      [
        [13, 8, 6, 3],
        [13, 6],
        [13, 6],
      ],
    );
    assert.deepEqual([xs.images.dtype, weight.dtype, ys.dtype], ["int32", "float32", "int32"]);
    ids.push(...xs.age.data);
    if (i === 1) await data.nextTestBatch(3);
  }
  assert.deepEqual(ids.slice(0, 39).sort(), ids.slice(39).sort());
  assert.notDeepEqual(ids.slice(0, 39), ids.slice(39));
  assert.equal((await data.nextBatch(50, "test")).xs.age.data.length, 50);
});

test("normalize scales pixels as in training", async () => {
  const data = await open(newExport());
  const raw = await all(data.batches());
  const scaled = await all(data.batches({ normalize: true }));
  scaled.forEach(({ images }, i) => {
    assert.ok(images instanceof Float32Array);
    assert.deepEqual(
      images,
      Float32Array.from(raw[i].images, (value) => value / 255),
    );
  });
});

test("columns that are too large for TensorFlow.js are an error; data.batches has them", async () => {
  const data = await open(newExport({ age: (row) => 2n ** 31n + BigInt(row) }));
  const { value } = await data.batches({ shuffle: false }).next();
  assert.deepEqual(value?.columns.age[0], 2n ** 31n);
  await assert.rejects(
    data.nextBatch(2),
    /The column "age" must hold 32-bit numbers.*; got 2147483\d+/,
  );
});

test("any of our sprites is read, and no other PNG", async () => {
  for (const filter of [0, 1, 2]) {
    const data = await open(newExport({ encoding: "png", filter }));
    for (const batch of await all(data.batches())) {
      batch.rows.forEach((row, i) => assert.deepEqual(imageAt(batch, i), imageOf(row)));
    }
  }
  const data = await open(newExport({ encoding: "png", filter: 4 }));
  await assert.rejects(
    data.batches().next(),
    /image\.\w+\.png must be a sprite that mmdata wrote; got a PNG with the filter 4/,
  );
});

test("a cache that is too small for a shard gives the same batches", async () => {
  for (const encoding of /** @type {const} */ (["npy", "png"])) {
    const folder = newExport({ encoding });
    const [small, large] = await Promise.all([open(folder, { cacheBytes: 0 }), open(folder)]);
    assert.deepEqual(await all(small.batches()), await all(large.batches()));
  }
});

for (const worker of [false, true]) {
  test(`damaged files are named${worker ? ", from a Worker too" : ""}`, async () => {
    /** @type {[RegExp, (path: string) => void, RegExp][]} */
    const cases = [
      [
        /00000\.image\./,
        (path) => renameSync(path, `${path}.gone`),
        /image\.\w+\.npy cannot be read; there is no such file\. .*export again/,
      ],
      [
        /00000\.image\./,
        (path) => writeFileSync(path, readFileSync(path).subarray(0, 300)),
        /image\.\w+\.npy is cut off: got \d+ of \d+/,
      ],
      [
        /00000\.image\./,
        flipLast,
        /image\.\w+\.npy is damaged: its checksum is not that of the manifest/,
      ],
      [/00000\.captions\./, flipLast, /captions\.\w+\.npy is damaged/],
      [/00000\.image_crc32/, flipLast, /image_crc32\.\w+\.npy is damaged/],
      [
        /00000\.token_ids_offsets/,
        (path) => writeFileSync(path, ""),
        /token_ids_offsets\.\w+\.npy is cut off: got 0 of/,
      ],
    ];
    for (const [name, damage, message] of cases) {
      const folder = newExport({ splits: { train: { rows: 64, shardRows: 64 } } });
      damage(join(folder, String(readdirSync(folder).find((file) => name.test(file)))));
      const data = await open(folder, { worker });
      await assert.rejects(all(data.batches({ batchSize: 1 })), (error) => {
        assert.ok(error instanceof Error);
        assert.match(error.message, message);
        assert.ok(error.message.includes(folder));
        return true;
      });
      data.close();
    }
  });
}

/** @param {string} path */
function flipLast(path) {
  const content = readFileSync(path);
  for (let i = 128; i < content.length; i += 100) content[i] ^= 1;
  writeFileSync(path, content);
}

test("a damaged row is found where rows are read alone", async () => {
  const folder = newExport({ splits: { train: { rows: 64, shardRows: 64 } } });
  const file = readdirSync(folder).find((name) => /00000\.image\.\w+\.npy/.test(name));
  const path = join(folder, String(file));
  const content = readFileSync(path);
  content[content.length - 1] ^= 1; // of the last row
  writeFileSync(path, content);
  const data = await open(folder, { cacheBytes: 0 }); // nothing is read whole
  const read = { shuffle: false, batchSize: 1 };
  /** @type {number[]} */
  const rows = [];
  await assert.rejects(async () => {
    for await (const batch of data.batches(read)) rows.push(batch.rows[0]);
  }, /is damaged: its checksum/);
  assert.ok(rows.length >= 8 && !rows.includes(63), String(rows));
});

test("Node ends although a Worker was not closed", () => {
  const module = new URL("../../mmdata/web/mmdata.js", import.meta.url);
  const script = `const { open } = await import("${module}");
    const data = await open(${JSON.stringify(newExport())}, { worker: true });
    for await (const batch of data.batches()) console.log(batch.step);`;
  const command = ["--input-type=module", "--eval", script];
  const done = spawnSync(process.execPath, command, { encoding: "utf8", timeout: 60_000 });
  assert.equal(done.signal, null);
  assert.equal(done.status, 0, done.stderr);
  assert.match(done.stdout, /^0\n/);
});

test("what cannot be opened is explained", async () => {
  const folder = newExport();
  const manifest = readFileSync(join(folder, "manifest.json"), "utf8");
  const rejects = async (/** @type {string} */ content, /** @type {RegExp} */ message) => {
    writeFileSync(join(folder, "manifest.json"), content);
    await assert.rejects(open(folder), message);
  };
  const changed = (/** @type {object} */ values) =>
    JSON.stringify({ ...JSON.parse(manifest), ...values });
  await rejects(
    "<!doctype html>",
    /manifest\.json must be JSON; got "<!doctype html>"\. The server sent an HTML page/,
  );
  await rejects(manifest.slice(0, 100), /must be JSON/);
  await rejects(
    changed({ format: "mmdata rows" }),
    /must have the format "mmdata web"; got "mmdata rows"/,
  );
  await rejects("null", /must have the format "mmdata web"; got undefined/);
  await rejects(
    changed({ version: 2 }),
    /must have version 1 for this mmdata\.js; got 2\. Use the mmdata\.js of the mmdata that exported it/,
  );
  await rejects(changed({ version: 0 }), /got 0\. Export again/);
  await rejects(
    changed({ shards: [{ split: "train", rows: 1, files: {} }] }),
    /must list the files of each shard/,
  );
  await rejects(
    manifest.replace("00000.image.", "../00000.image."),
    /must list the files of each shard/,
  );
  await assert.rejects(
    open(join(folder, "nowhere")),
    /must be the folder of an export, with a manifest\.json; got none at .*nowhere.*mmdata export-web/,
  );
  await assert.rejects(
    open("ftp://host/"),
    /must be an http or https address, a file: URL or a path; got "ftp:\/\/host\/"/,
  );
});

test("a path, a file URL and the manifest itself are the same data", async () => {
  const folder = newExport();
  const addresses = [
    folder,
    `${folder}/`,
    pathToFileURL(folder),
    String(pathToFileURL(folder)),
    join(folder, "manifest.json"),
  ];
  const found = await Promise.all(
    addresses.map(async (address) => all((await open(address)).batches())),
  );
  for (const batches of found) assert.deepEqual(batches, found[0]);
});

test("options out of range name themselves", async () => {
  const data = await open(newExport({ order: { remainder: "drop" } }));
  const { splits } = data;
  assert.ok(splits);
  /** @type {[any, RegExp][]} */
  const cases = [
    [{ split: "dev" }, /split.* must be one of "train", "test"; got "dev"/],
    [{ split: "constructor" }, /must be one of/],
    [
      { batchSize: 0 },
      /batchSize.* must be a whole number from 1 to 39, the size of "train"; got 0/,
    ],
    [{ batchSize: 40 }, /from 1 to 39/],
    [{ batchSize: 2.5 }, /got 2.5/],
    [{ batchSize: "4" }, /got 4/],
    [{ batchSize: 0, split: "test" }, /must be a whole number from 1; got 0/],
    [{ at: -1 }, /at.* must be a whole number from 0; got -1/],
    [{ at: 2 ** 53 }, /at.* must be a whole number/],
    [{ epochs: 0 }, /epochs.* must be a whole number from 1; got 0/],
    [{ seed: "x" }, /seed.* must be a whole number; got x/],
    [{ shuffle: "rows" }, /shuffle.* must be true, false or "blocks"; got rows/],
  ];
  for (const [options, message] of cases) assert.throws(() => data.batches(options), message);
  assert.throws(
    () => data.size("dev"),
    /data\.size\(split\) must be one of "train", "test"; got "dev"/,
  );
  await assert.rejects(
    data.nextBatch(0),
    /data\.nextBatch\(size\) must be a whole number from 1; got 0/,
  );
  await assert.rejects(data.nextBatch(2, "dev"), /must be one of/);
  await assert.rejects(
    open(root, { worker: true, fetch }),
    /fetch=.* must be left out with worker/,
  );
  await assert.rejects(open(root, { cacheBytes: -1 }), /cacheBytes=.* at least 0; got -1/);
});

for (const worker of [false, true]) {
  test(`after close nothing can be read${worker ? " from a Worker" : ""}`, async () => {
    const data = await open(newExport(), { worker });
    const batches = data.batches();
    await batches.next();
    data.close();
    await assert.rejects(all(batches), /closed|close\(\) was called/);
    assert.throws(
      () => data.batches(),
      /The data is closed: data\.close\(\) was called\. Open it again/,
    );
    await assert.rejects(data.nextBatch(2), /closed/);
  });
}

test("a loop that ends early leaves nothing behind", async () => {
  /** @type {unknown[]} */
  const unhandled = [];
  const note = (/** @type {unknown} */ error) => unhandled.push(error);
  process.on("unhandledRejection", note);
  const folder = newExport();
  const damaged = String(readdirSync(folder).find((file) => /00002\.image\./.test(file)));
  writeFileSync(join(folder, damaged), "");
  for (const worker of [false, true]) {
    const data = await open(folder, { worker });
    for await (const batch of data.batches({ shuffle: false, batchSize: 15 })) if (batch) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
    data.close();
  }
  process.off("unhandledRejection", note);
  assert.deepEqual(unhandled, []);
});
