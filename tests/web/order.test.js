import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Order, captionNumber, permuted } from "../../mmdata/web/loader/order.js";

const vectors = JSON.parse(readFileSync(new URL("./order_vectors.json", import.meta.url), "utf-8"));

/** @param {Order} order @param {number} epoch */
function epochOf(order, epoch) {
  const begin = epoch * order.stepsPerEpoch;
  return Array.from({ length: order.stepsPerEpoch }, (_, i) => [...order.indices(begin + i)]);
}

test("orders have the indices that Python has", () => {
  for (const { fields, steps, indices } of vectors.orders) {
    const order = new Order(fields);
    for (const [place, step] of steps.entries()) {
      assert.deepEqual([...order.indices(step)], indices[place], JSON.stringify([fields, step]));
    }
    assert.deepEqual([...order.indices(steps[0])], indices[0]); // and again, after other epochs
  }
});

test("caption numbers are those of Python", () => {
  for (const { seed, epoch, numbers } of vectors.captions) {
    for (const as of [seed, BigInt(seed)]) {
      const drawn = vectors.index.map((/** @type {number} */ i) => captionNumber(i, as, epoch));
      assert.deepEqual(drawn, numbers);
    }
  }
});

test("a seed is a number, a BigInt or digits", () => {
  const fields = { count: 1000, batchSize: 50 };
  const [first, ...others] = [2 ** 40, 2n ** 40n, `${2 ** 40}`].map((seed) =>
    epochOf(new Order({ ...fields, seed }), 3),
  );
  for (const other of others) assert.deepEqual(other, first);
  assert.notDeepEqual(epochOf(new Order({ ...fields, seed: 2 ** 40 + 2 ** 33 }), 3), first);
});

test("an epoch has each index once", () => {
  for (const fields of [
    {},
    { shuffle: false },
    { blocks: [40, 1, 400, 59], window: 2 },
    { buckets: [250, 150, 100] },
  ]) {
    const order = new Order({ count: 500, batchSize: 32, seed: 5, ...fields });
    for (const epoch of [0, 1, 2 ** 40]) {
      const indices = epochOf(order, epoch).flat();
      assert.deepEqual(
        [...indices].sort((a, b) => a - b),
        [...Array(500).keys()],
      );
      assert.equal(order.epoch(epoch * order.stepsPerEpoch), epoch);
    }
  }
});

test("permuted is a permutation of any count", () => {
  for (let count = 1; count < 80; count++) {
    const keys = Uint32Array.from({ length: 12 }, (_, i) => i * 2654435761 + count);
    const places = [...Array(count).keys()].map((place) => permuted(place, count, keys));
    assert.equal(new Set(places).size, count);
    assert.ok(places.every((place) => 0 <= place && place < count));
  }
});

test("rows sorted by class are mixed at once", () => {
  const order = new Order({ count: 2000, batchSize: 32, seed: 0 });
  const second = [...Array(10).keys()].map(
    (step) => order.indices(step).filter((index) => index >= 1000).length,
  );
  // 16 of 32 each, give or take 2.8; 160 of 320 in all, give or take 8.2.
  assert.ok(Math.min(...second) >= 5 && Math.max(...second) <= 27);
  assert.ok(Math.abs(second.reduce((sum, count) => sum + count) - 160) < 33);
});

test("fields that are refused", () => {
  const fields = { count: 16, batchSize: 8 };
  /** @type {[object, RegExp][]} */
  const refused = [
    [{ count: 0 }, /count must be an integer from 1 to 2147483647; got 0/],
    [{ count: 2 ** 31 }, /count must be .*; got 2147483648/],
    [{ batchSize: 1.5 }, /batchSize must be .*; got 1.5/],
    [{ window: 0 }, /window must be .*; got 0/],
    [{ remainder: "pad" }, /remainder must be "keep", "drop" or "wrap"; got "pad"/],
    [{ blocks: [8, 9] }, /blocks must be integers of at least 1, 16 in all; got .* 17 in all/],
    [{ buckets: [16, 0] }, /buckets must be integers of at least 1/],
    [{ buckets: [8, 8], blocks: [16] }, /exclude each other.*1 blocks and 2 buckets/],
    [{ count: 7, remainder: "drop" }, /"drop" leaves no batch of 8 out of 7 indices/],
    [{ buckets: [12, 4], remainder: "wrap" }, /twice in one batch of 8: there are 4 indices/],
  ];
  for (const [change, message] of refused) {
    assert.throws(() => new Order({ ...fields, ...change }), { name: "RangeError", message });
  }
  const order = new Order(fields);
  for (const step of [-1, 0.5, 2 ** 53]) {
    assert.throws(() => order.indices(step), /step must be an integer from 0/);
  }
});
