/** mmdata.js and a web server, in Node. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { join } from "node:path";
import { open } from "../../mmdata/web/mmdata.js";
import { serve, temporaryFolder, writeExport } from "./exports.js";

const root = temporaryFolder();
/** @type {Awaited<ReturnType<typeof serve>>} */
let server;
before(async () => {
  for (const encoding of /** @type {const} */ (["npy", "png"])) {
    writeExport(join(root, encoding), {
      encoding,
      splits: { train: { rows: 200, shardRows: 50 } },
    });
  }
  server = await serve(root);
});
after(() => server.close());

/**
 * @template T
 * @param {AsyncIterable<T>} items
 */
async function all(items) {
  const found = [];
  for await (const item of items) found.push(item);
  return found;
}

/** Requests since `count`, of images only. */
async function imageRequests(count = 0) {
  const log = await server.log();
  return log.slice(count).filter(([path]) => path.includes(".image."));
}

for (const encoding of ["npy", "png"]) {
  test(`a server gives the batches of the disk, ${encoding}`, async () => {
    const expected = await all((await open(join(root, encoding))).batches());
    const sources = [
      `${encoding}/`,
      encoding,
      `${encoding}/manifest.json`,
      `no-ranges:image/${encoding}/`,
      `drop-once:image/${encoding}/`,
    ];
    for (const source of sources) {
      for (const worker of [false, true]) {
        const data = await open(server.url + source, { worker });
        assert.deepEqual(await all(data.batches()), expected);
        data.close();
      }
    }
  });
}

test("few rows of a shard are read alone; close ones, and shards that are used more, at once", async () => {
  const data = await open(`${server.url}npy`);
  let count = (await server.log()).length;
  await data.batches({ batchSize: 1, shuffle: false }).next();
  const few = await imageRequests(count);
  assert.ok(few.length && few.every(([, range]) => range));
  const size = few.map(([, range]) => range?.match(/\d+/g)?.map(Number) ?? []);
  assert.ok(
    size.every(([begin, end]) => end - begin < 20 * 8 * 6 * 3),
    JSON.stringify(few),
  );
  count = (await server.log()).length;
  await all(data.batches({ epochs: 3 }));
  const many = await imageRequests(count);
  assert.ok(many.some(([, range]) => !range));
  const whole = many.filter(([, range]) => !range);
  assert.equal(new Set(whole.map(([path]) => path)).size, whole.length);
  assert.equal(whole.length, 4);
});

test("a server that ignores ranges sends each file once", async () => {
  const data = await open(`${server.url}no-ranges:image./npy`);
  const count = (await server.log()).length;
  await all(data.batches({ epochs: 2, batchSize: 2 }));
  const requests = await imageRequests(count);
  assert.ok(requests.length <= 2 * 4 + 4, String(requests.length));
});

test("everyone who asks for a shard gets the same request", async () => {
  const data = await open(`${server.url}slow:image/png`);
  const count = (await server.log()).length;
  await Promise.all([all(data.batches()), all(data.batches({ seed: 1 })), data.nextBatch(5)]);
  assert.equal((await imageRequests(count)).length, 4);
});

test("a loop that ends early requests nothing more", async () => {
  const data = await open(`${server.url}npy`);
  for await (const batch of data.batches({ batchSize: 1 })) if (batch) break;
  await new Promise((resolve) => setTimeout(resolve, 200));
  const count = (await server.log()).length;
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal((await server.log()).length, count);
});

for (const worker of [false, true]) {
  test(`each fault has its own message${worker ? ", from a Worker too" : ""}`, async () => {
    /** @type {[string, RegExp][]} */
    const cases = [
      [
        "missing:.image.",
        /image\.\w+\.\w+ cannot be read; the server answered 404.*missing on the server/,
      ],
      ["missing:captions", /captions\w*\.\w+\.npy cannot be read; the server answered 404/],
      [
        "drop:.image.",
        /image\.\w+\.\w+ cannot be read; the connection failed twice .*Check the address, the network/,
      ],
      ["flip:.image.", /image\.\w+\.\w+ is damaged: its checksum is not that of the manifest/],
      [
        "cut:.image.",
        /image\.\w+\.\w+ is cut off: got .*Copy the whole export to the server again/,
      ],
      [
        "html:token_ids",
        /token_ids\w*\.\w+\.npy is an HTML page: the server does not have the file/,
      ],
    ];
    for (const encoding of ["npy", "png"]) {
      for (const [fault, message] of cases) {
        const data = await open(`${server.url}${fault}/${encoding}`, { worker });
        await assert.rejects(all(data.batches()), message, fault + encoding);
        data.close();
      }
    }
  });
}

test("a manifest that is not there is explained", async () => {
  await assert.rejects(
    open(`${server.url}nowhere`),
    /must be the folder of an export, with a manifest\.json; got none at http.*nowhere\/manifest\.json/,
  );
  await assert.rejects(
    open(`${server.url}html:manifest/npy`),
    /The server sent an HTML page instead/,
  );
  await assert.rejects(
    open(`${server.url}drop:manifest/npy`),
    /manifest\.json cannot be read; the connection failed twice/,
  );
  await assert.rejects(
    open("http://127.0.0.1:9/"),
    /http:\/\/127\.0\.0\.1:9\/manifest\.json cannot be read; the connection failed twice .*whether the server is running/,
  );
});

test("an answer with too few bytes of a range is an error", async () => {
  /** @type {typeof globalThis.fetch} */
  const short = async (...request) => {
    const answer = await fetch(...request);
    if (answer.status !== 206) return answer;
    const bytes = await answer.arrayBuffer();
    return new Response(bytes.slice(0, -1), { status: 206 });
  };
  const data = await open(`${server.url}npy`, { fetch: short });
  await assert.rejects(all(data.batches({ batchSize: 1 })), /is cut off: got \d+ of \d+ requested/);
});

test("fetch can be replaced", async () => {
  /** @type {string[]} */
  const urls = [];
  const data = await open(`${server.url}npy`, {
    fetch: (url, options) => {
      urls.push(String(url));
      return fetch(url, options);
    },
  });
  await data.batches().next();
  assert.ok(urls.length > 5 && urls.every((url) => url.startsWith(`${server.url}npy/`)));
});
