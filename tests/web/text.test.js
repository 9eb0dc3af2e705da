import assert from "node:assert/strict";
import { test } from "node:test";
import { classOf, wellFormed } from "../../mmdata/web/text/characters.js";
import { cleaner } from "../../mmdata/web/text/clean.js";
import { mergePairs } from "../../mmdata/web/text/merge_pairs.js";
import { loadTokenizer } from "../../mmdata/web/text/tokenizers.js";

const LETTERS = [97, 26]; // a to z
const CAPITALS = [65, 26, 6, 26]; // A to Z, a to z
const SETTINGS = {
  lower: false,
  unescape: false,
  /** @type {"keep" | "remove"} */
  markup: "keep",
  /** @type {"keep" | "remove"} */
  links: "keep",
  normalize: null,
  /** @type {"keep" | "strip"} */
  accents: "keep",
  /** @type {"keep" | "remove"} */
  punctuation: "keep",
  /** @type {"space" | "remove" | "keep"} */
  controls: "space",
  characters: {
    without_case: [0x10000, 1],
    without_forms: [0x10000, 1],
    cased: [...CAPITALS, 0x3a3 - 0x7b, 1],
    ignorable: [0x27, 1],
    marks: [0x300, 0x50],
    invisible: [0, 9, 2, 21],
  },
  references: {
    names: { amp: "&", "amp;": "&", "lt;": "<", "not;": "¬", not: "¬" },
    numbers: ["\ufffd"],
  },
};
const TEXT = {
  ...{ length: 6, start_id: 2, end_id: 3, pad_id: 0, prompt: [], template: "{caption}" },
  /** @type {"length" | "longest"} */
  padding: "length",
  /** @type {"left" | "right"} */
  padding_side: "right",
  clean: /** @type {any} */ (null),
  tokenizer: "tokenizer.json",
};
const SPECIAL = { start_id: 2, end_id: 3, pad_id: 0, unknown_id: 1 };
const NAMES = ["[PAD]", "[UNK]", "[START]", "[END]"];

/** @param {string} type @param {string[]} tokens @param {object} [others] */
function jsonOf(type, tokens, others) {
  const vocabulary = [...NAMES, ...tokens];
  return { type, ...SPECIAL, vocabulary, vocabulary_size: vocabulary.length, ...others };
}

/** @param {any} changes @param {string} text */
const clean = (changes, text) => cleaner({ ...SETTINGS, ...changes })(text);

test("ranges are gaps and counts", () => {
  assert.equal(classOf([97, 2, 1, 1]), "\\u{61}-\\u{62}\\u{64}-\\u{64}");
  const letters = new RegExp(`[${classOf([0x1f600, 2])}]`, "gu");
  assert.deepEqual("a😀😁😂".match(letters), ["😀", "😁"]);
});

test("half of a surrogate pair is replaced", () => {
  assert.equal(wellFormed("a\ud83d \ude00 😀"), "a\ufffd \ufffd 😀");
});

test("each field of a cleaning changes texts", () => {
  /** @type {[object, string, string][]} */
  const cases = [
    [{}, "  A\t\u3000b\0c ", "A b c"],
    [{ controls: "keep" }, "\x1cA\x01\t b\x1f ", "A\x01 b"],
    [{ controls: "remove" }, "A\x01b\tc", "Ab c"],
    [{ lower: true }, "A É", "a é"],
    [{ lower: true }, "aΣ aΣ' aΣ'b Σ", "aς aς' aσ'b σ"],
    [{ normalize: "NFC" }, "e\u0301", "é"],
    [{ normalize: "NFC_FIRST", lower: true }, "H\u0331", "h\u0331"],
    [{ accents: "strip" }, "É e\u0301", "E e"],
    [{ markup: "remove" }, "<b>a</b><!-- > -->c 1 < 2", "a c 1 < 2"],
    [{ links: "remove" }, "see HTTPS://a.b/c, www.x awww.x", "see awww.x"],
    [{ punctuation: "remove" }, "a - b, c.", "a b c"],
    [
      { unescape: true },
      "&amp;amp; &amp;lt; &notit; &#0; &#x41;&#66 &bogus;",
      "& < ¬it; \ufffd AB &bogus;",
    ],
  ];
  for (const [changes, text, expected] of cases) {
    assert.equal(clean(changes, text), expected, JSON.stringify([changes, text]));
  }
});

test("pairs are merged by rank, of equal ones the leftmost first", () => {
  const merges = ["b c", "a b", "a a", "aa a"];
  const rank = (/** @type {string} */ left, /** @type {string} */ right) => {
    const found = merges.indexOf(`${left} ${right}`);
    return found < 0 ? undefined : found;
  };
  assert.deepEqual(mergePairs([..."abc"], rank), ["a", "bc"]);
  assert.deepEqual(mergePairs([..."aaaaa"], rank), ["aa", "aaa"]);
  assert.deepEqual(
    mergePairs([..."abc"], rank, (place) => place === 2),
    ["ab", "c"],
  );
  assert.deepEqual(mergePairs([], rank), []);
});

test("words", async () => {
  const characters = { word: LETTERS, letter: LETTERS };
  const json = jsonOf("Word", ["a", "dog's", ".", "-"], { characters });
  const tokenizer = await loadTokenizer(json, { ...TEXT, template: "{caption}." });
  assert.equal(tokenizer.type, "Word");
  assert.equal(tokenizer.vocabularySize, 8);
  assert.deepEqual([...tokenizer.encode("a dog's cat")], [4, 5, 1, 6]);
  assert.equal(tokenizer.decode([2, 4, 7, 4, 1, 6, 3, 0]), "a-a [UNK].");
});

test("word pieces", async () => {
  const characters = { space: [32, 1], alone: [46, 1], symbol: [46, 1], letter: LETTERS };
  const json = jsonOf("WordPiece", ["do", "##g", "##gs", "."], { characters });
  const tokenizer = await loadTokenizer(json, TEXT);
  assert.deepEqual([...tokenizer.encode("dogs dog. dot")], [4, 6, 4, 5, 7, 1]);
  assert.deepEqual([...tokenizer.encode("do" + "g".repeat(98))].length, 99);
  assert.deepEqual([...tokenizer.encode("do" + "g".repeat(99))], [1]);
  assert.equal(tokenizer.decode([4, 6, 4, 5, 7]), "dogs dog.");
});

test("packed ids have start, end and padding, and masks of them", async () => {
  const tokenizer = await loadTokenizer(jsonOf("Character", ["a", "é"]), { ...TEXT, prompt: [5] });
  const ids = tokenizer.encode("aéx");
  assert.deepEqual([...ids], [4, 5, 1]);
  assert.deepEqual(
    Object.values(tokenizer.pack(ids.subarray(0, 2))).map((array) => [...array]),
    [
      [2, 5, 4, 5, 3, 0],
      [1, 1, 1, 1, 1, 0],
      [0, 0, 1, 1, 1, 0],
    ],
  );
  assert.deepEqual([...tokenizer.pack([4, 4, 4, 4, 4]).tokenIds], [2, 5, 4, 4, 4, 3]);
});

test("bytes", async () => {
  const tokenizer = await loadTokenizer({ type: "Byte", ...SPECIAL, vocabulary_size: 260 }, TEXT);
  assert.deepEqual([...tokenizer.encode("aé")], [101, 199, 173]);
  assert.equal(tokenizer.decode([2, 101, 199, 173, 199, 1, 3]), "aé\ufffd[UNK]");
});

test("errors name what is wrong", async () => {
  await assert.rejects(
    loadTokenizer({ type: "Other" }, TEXT),
    /must be one of Byte, .* got "Other"/,
  );
  await assert.rejects(loadTokenizer({ type: "toString" }, TEXT), /got "toString"/);
  const tokenizer = await loadTokenizer(jsonOf("Character", ["a"]), TEXT);
  assert.throws(() => tokenizer.encode(/** @type {any} */ (5)), /takes a text; got number/);
  for (const id of [5, -1, 1.5, NaN]) {
    assert.throws(() => tokenizer.decode([id]), {
      name: "RangeError",
      message: /from 0 to 4; got/,
    });
  }
});
