import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { deflateSync } from "node:zlib";
import { crc32 } from "../../mmdata/web/loader/crc32.js";
import { imageBatches, preprocess } from "../../mmdata/web/pictures/pictures.js";

const SIZE = /** @type {[number, number]} */ ([2, 3]);

/** @param {number} grey */
function png(grey) {
  const header = [0, 0, 0, 4, 0, 0, 0, 4, 8, 0, 0, 0, 0];
  const rows = Array.from({ length: 4 }, () => [0, grey, grey, grey, grey]).flat();
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    chunk("IHDR", Buffer.from(header)),
    chunk("IDAT", deflateSync(Buffer.from(rows))),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

/**
 * @param {string} type
 * @param {Buffer} content
 */
function chunk(type, content) {
  const body = Buffer.concat([Buffer.from(type), content]);
  const [length, crc] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(content.length);
  crc.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, crc]);
}

/** @param {number} grey */
function raw(grey, height = 4, width = 4) {
  return { data: new Uint8Array(height * width).fill(grey), height, width, channels: 1 };
}

/**
 * @param {any} pictures
 * @param {import("../../mmdata/web/pictures/pictures.js").ImageBatchOptions} options
 */
async function collect(pictures, options = {}) {
  const batches = [];
  for await (const batch of imageBatches(pictures, { imageSize: SIZE, ...options })) {
    batches.push(batch);
  }
  return batches;
}

/** @param {{images: Uint8Array | Float32Array, imageShape: number[]}[]} batches */
function firstValues(batches) {
  return batches.flatMap(({ images, imageShape: [count, height, width, channels] }) =>
    Array.from({ length: count }, (_, i) => images[i * height * width * channels]),
  );
}

/** @type {string} */
let folder;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "pictures-"));
  await writeFile(join(folder, "a.png"), png(30));
  await writeFile(join(folder, "b.jpg"), Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 2, 0, 0, 0, 0]));
  await writeFile(join(folder, "empty.png"), "");
});
after(() => rm(folder, { recursive: true }));

for (const worker of [false, true]) {
  test(`every kind of picture, in order (worker: ${worker})`, async () => {
    const file = new Blob([png(50)]);
    const path = join(folder, "a.png");
    const data = `data:image/png;base64,${png(70).toString("base64")}`;
    const pictures = [raw(10), png(20), path, pathToFileURL(path), file, png(60), data, raw(80)];
    const batches = await collect(pictures, { batchSize: 3, worker });
    assert.deepEqual(firstValues(batches), [10, 20, 30, 30, 50, 60, 70, 80]);
    assert.deepEqual(
      batches.map(({ imageShape }) => imageShape),
      [
        [3, 2, 3, 3],
        [3, 2, 3, 3],
        [2, 2, 3, 3],
      ],
    );
    assert.deepEqual(
      batches.flatMap(({ names }) => names),
      [
        "picture 1",
        "picture 2",
        path,
        pathToFileURL(path).href,
        "picture 5",
        "picture 6",
        "picture 7",
        "picture 8",
      ],
    );
    assert.ok(batches.every(({ weights, problems }) => weights.every(Boolean) && !problems.length));
  });

  test(`a picture that cannot be decoded (worker: ${worker})`, async () => {
    const broken = join(folder, "empty.png");
    const pictures = [raw(10), broken, raw(30), join(folder, "none.png"), join(folder, "b.jpg")];
    await assert.rejects(collect(pictures, { worker }), (error) => {
      assert.match(
        /** @type {Error} */ (error).message,
        /empty\.png cannot be used: the file is empty/,
      );
      return true;
    });
    const batches = await collect(pictures, { worker, onProblem: "continue", batchSize: 2 });
    assert.deepEqual(firstValues(batches), [10, 0, 30, 0, 0]);
    assert.deepEqual(
      batches.flatMap(({ weights }) => [...weights]),
      [1, 0, 1, 0, 0],
    );
    const problems = batches.flatMap(({ problems }) => problems);
    assert.deepEqual(
      problems.map(({ name }) => name),
      [pictures[1], pictures[3], pictures[4]],
    );
    assert.match(problems[1].message, /cannot be read: ENOENT/);
    assert.match(
      problems[2].message,
      /a JPEG file\. Node decodes PNG only\. Convert it to PNG, or pass raw pixels/,
    );
  });
}

test("pictures are read lazily, and at most `concurrency` at a time", async () => {
  let taken = 0;
  function* many() {
    for (; taken < 10_000; taken++) yield raw(taken % 256);
  }
  const seen = [];
  for await (const { images } of imageBatches(many(), {
    imageSize: 1,
    batchSize: 2,
    concurrency: 3,
  })) {
    seen.push(images[0]);
    if (seen.length === 5) break;
  }
  assert.deepEqual(seen, [0, 2, 4, 6, 8]);
  assert.ok(taken <= 10 + 3, String(taken));
});

test("pictures over HTTP: no more than `concurrency` requests at once, and their errors", async () => {
  let [open, most] = [0, 0];
  const server = createServer((request, response) => {
    most = Math.max(most, ++open);
    setImmediate(() => {
      open--;
      const number = Number(request.url?.slice(1));
      response.writeHead(number === 3 ? 404 : 200).end(png(number));
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(null)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  try {
    const urls = Array.from({ length: 20 }, (_, i) => `http://127.0.0.1:${port}/${i}`);
    const batches = await collect(urls, { concurrency: 4, onProblem: "continue" });
    const expected = urls.map((_, i) => (i === 3 ? 0 : i));
    assert.deepEqual(firstValues(batches), expected);
    assert.deepEqual(batches[0].problems, [
      { name: urls[3], message: "the server answered 404 Not Found" },
    ]);
    assert.ok(most >= 2 && most <= 4, String(most));
  } finally {
    server.closeAllConnections();
    server.close();
  }
  const gone = `http://127.0.0.1:${port}/1`;
  await assert.rejects(
    collect([gone]),
    /\/1 cannot be used: it cannot be loaded .* Check the address/,
  );
});

/** @type {import("../../mmdata/web/pictures/pictures.js").PixelSettings & {normalize: string}} */
const SETTINGS = {
  size: [1, 1],
  fit: "stretch",
  interpolation: "bilinear",
  background: [200, 100, 0],
  normalize: "signed",
};

test("raw pixels of 1 to 4 channels become RGB on the background", async () => {
  /** @param {number[]} values */
  const pixel = async (values) => [
    ...(await preprocess({ data: new Uint8ClampedArray(values), width: 1, height: 1 }, SETTINGS)),
  ];
  assert.deepEqual(await pixel([7]), [7, 7, 7]);
  assert.deepEqual(await pixel([7, 255]), [7, 7, 7]);
  assert.deepEqual(await pixel([7, 0]), [200, 100, 0]);
  assert.deepEqual(await pixel([1, 2, 3]), [1, 2, 3]);
  assert.deepEqual(await pixel([100, 100, 100, 51]), [180, 100, 20]);
});

for (const [picture, message] of /** @type {[any, RegExp][]} */ ([
  [
    { data: new Uint8Array(5), width: 2, height: 2, channels: 1 },
    /data must be height x width x channels/,
  ],
  [{ data: new Uint8Array(0), width: 0, height: 2 }, /2 x 0 pixels, not between 1 and/],
  [{ data: new Float32Array(4), width: 2, height: 2 }, /must be a Uint8Array/],
  [{ data: new Uint8Array(4), width: 20_000, height: 20_000 }, /not between 1 and 178,956,970/],
  [null, /not a picture: null\. Pass a File/],
  [7, /not a picture: 7/],
  [{}, /not a picture: Object/],
  [new TextEncoder().encode("hello, this is text"), /not a known format\. Node decodes PNG only/],
])) {
  test(`refused: ${message}`, () => assert.rejects(collect([picture]), message));
}

for (const [options, message] of /** @type {[any, RegExp][]} */ ([
  [{ imageSize: [0, 3] }, /imageSize must be two positive whole numbers/],
  [{ imageSize: 8, loadSize: 4 }, /loadSize must be at least imageSize \[8,8\]; got \[4,4\]/],
  [{ fit: "cover" }, /fit must be one of stretch, crop, pad; got "cover"/],
  [{ interpolation: "nearest" }, /interpolation must be one of bilinear, bicubic; got "nearest"/],
  [{ maxCrop: 2 }, /maxCrop must be a share from 0 to 1; got 2/],
  [{ background: [1, 2] }, /background must be three whole numbers/],
  [{ normalize: "tf" }, /normalize must be true, false, or one of raw, unit/],
  [{ batchSize: 0 }, /batchSize must be a whole number of at least 1; got 0/],
  [{ concurrency: 1.5 }, /concurrency must be a whole number/],
  [{ onProblem: "skip" }, /onProblem must be "error" or "continue"; got "skip"/],
])) {
  test(`invalid: ${message}`, () => assert.rejects(collect([raw(1)], options), message));
}

test("one picture is not a list", () =>
  assert.rejects(collect("a.png"), /must be a list of pictures, .* got "a\.png"/));

test("numbers in the range of a model", async () => {
  const [batch] = await collect([raw(255)], { normalize: "signed" });
  assert.ok(batch.images instanceof Float32Array);
  assert.deepEqual(new Set(batch.images), new Set([1]));
});

test("a picture as in training, and one that cannot be decoded", async () => {
  const pixels = await preprocess(png(255), SETTINGS, { normalize: true });
  assert.deepEqual(pixels, new Float32Array([1, 1, 1]));
  assert.deepEqual(await preprocess(png(255), SETTINGS), new Uint8Array([255, 255, 255]));
  const file = join(folder, "b.jpg");
  await assert.rejects(
    preprocess(file, SETTINGS),
    /^Error: preprocess: .*b\.jpg cannot be used: a JPEG file/,
  );
});
