/** Cleans captions as Python's `mmdata.stages.clean.Clean` does. */

import { OTHER_SPACE, classOf, wellFormed } from "./characters.js";
import { unescaper } from "./references.js";

/** @typedef {import("./characters.js").Ranges} Ranges */

/**
 * @typedef {object} CleanSettings The fields of Python's `Clean`, and the characters they need.
 * @property {boolean} lower
 * @property {boolean} unescape
 * @property {"keep" | "remove"} markup
 * @property {"keep" | "remove"} links
 * @property {"NFC" | "NFC_FIRST" | "NFKC" | "NFKC_CF" | null} normalize
 * @property {"keep" | "strip"} accents
 * @property {"keep" | "remove"} punctuation
 * @property {"space" | "remove" | "keep"} controls
 * @property {Record<string, Ranges>} characters
 * @property {Record<string, string>} [folds]
 * @property {import("./references.js").References} [references]
 */

/** @typedef {(text: string) => string} Change */

const PLAIN = /^(?:[!-~]+(?: [!-~]+)*)?$/;
const TAG = /<!--[^]*?-->|<[/!?a-zA-Z][^>]*>/gu;
// Python's ignores the case, and U+017F and U+212A are then an "s" and a "k".
const LINK =
  /\b(?:(?:[hH][tT][tT][pP][sS\u017f]?|[fF][tT][pP]):\/\/|[wW]{3}\.[0-9a-zA-Z\u017f\u212a])[^ ]*/gu;
const PUNCTUATION = /[!-/:-@[-`{-~]+/g;
const CONTROLS = "\\0-\\x1f\\x7f-\\x9f";
const ASCII_ENDS = /^[\t-\r ]+|[\t-\r ]+$/g;
const KEPT_ENDS = /^[\x1c-\x1f ]+|[\x1c-\x1f ]+$/g;

/**
 * @param {CleanSettings} settings `cleaning` of the tokenizer's file.
 * @returns {Change} Makes a text uniform. Half of a surrogate pair becomes U+FFFD.
 */
export function cleaner(settings) {
  const thoroughly = chain(stepsOf(settings));
  const lowers = settings.lower || settings.normalize === "NFKC_CF";
  const isPlain = plainness(settings);
  return (text) => {
    if (!isPlain(text)) return thoroughly(wellFormed(text));
    return lowers ? text.toLowerCase() : text;
  };
}

/**
 * @param {CleanSettings} settings
 * @returns {(text: string) => boolean} Whether a text is words of ASCII between single spaces, of
 *   which only the case may change.
 */
function plainness({ unescape, markup, links, punctuation }) {
  if (punctuation === "remove") return () => false;
  const special = [
    ...(unescape ? ["&"] : []),
    ...(markup === "remove" ? ["<"] : []),
    ...(links === "remove" ? [":", "."] : []),
  ];
  return (text) => PLAIN.test(text) && !special.some((character) => text.includes(character));
}

/**
 * @param {string} template Contains "{caption}" once.
 * @returns {Change} Puts a caption into the template.
 */
export function templated(template) {
  const [before, after] = template.split("{caption}");
  return (text) => before + text + after;
}

/**
 * @param {Change[]} steps
 * @returns {Change}
 */
function chain(steps) {
  return (text) => steps.reduce((changed, step) => step(changed), text);
}

/**
 * The steps, in an order in which no step undoes another.
 *
 * @param {CleanSettings} settings
 * @returns {Change[]}
 */
function stepsOf(settings) {
  const { characters, normalize } = settings;
  const removed = [settings.markup, settings.links, settings.punctuation].includes("remove");
  const compatible = normalize === "NFKC" || normalize === "NFKC_CF";
  const normalizes = normalize !== null && normalize !== "NFC_FIRST";
  const normalized = normalizes ? normalizer(settings) : (/** @type {string} */ text) => text;
  /** @type {Change[]} */
  const steps = [];
  if (normalize === "NFC_FIRST") steps.push(form("NFC", characters));
  if (settings.unescape && settings.references) steps.push(unescaper(settings.references));
  if (settings.controls === "remove") steps.push(without(classOf(characters.invisible)));
  steps.push(singleSpaces(settings.controls === "space" ? OTHER_SPACE + CONTROLS : OTHER_SPACE));
  if (compatible || (normalizes && removed)) steps.push(normalized);
  if (settings.lower) steps.push(lower(characters));
  if (settings.accents === "strip") {
    steps.push(form("NFD", characters), without(classOf(characters.marks)));
  }
  if (settings.markup === "remove") steps.push((text) => text.replace(TAG, " "));
  if (settings.links === "remove") steps.push((text) => text.replace(LINK, " "));
  if (settings.punctuation === "remove") steps.push((text) => text.replace(PUNCTUATION, ""));
  steps.push(normalized);
  if (removed || settings.accents === "strip" || compatible) {
    steps.push((text) => text.replace(/ {2,}/g, " "));
  }
  const ends = settings.controls === "keep" ? KEPT_ENDS : ASCII_ENDS;
  steps.push((text) => text.replace(ends, ""));
  // Normalizing may make letters and punctuation of ASCII.
  if (settings.lower) steps.push((text) => text.replace(/[A-Z]+/g, (some) => some.toLowerCase()));
  if (settings.punctuation === "remove") steps.push((text) => text.replace(PUNCTUATION, ""));
  return steps;
}

/**
 * @param {string} set The inside of a class.
 * @returns {Change}
 */
function without(set) {
  const found = new RegExp(`[${set}]+`, "gu");
  return (text) => text.replace(found, "");
}

/**
 * @param {string} spaces The inside of a class, without U+0020.
 * @returns {Change}
 */
function singleSpaces(spaces) {
  const found = new RegExp(`[ ${spaces}]{2,}|[${spaces}]`, "gu");
  return (text) => text.replace(found, " ");
}

/**
 * A change of all characters that TensorFlow knows; others are boundaries, as they are there.
 *
 * @param {string} unknown The inside of a class.
 * @param {Change} change
 * @returns {Change}
 */
function between(unknown, change) {
  const known = new RegExp(`[^${unknown}]+`, "gu");
  return (text) => text.replace(known, change);
}

/**
 * @param {Record<string, Ranges>} characters
 * @returns {Change} U+0000 is a boundary, too.
 */
function lower(characters) {
  const [cased, ignorable] = [classOf(characters.cased), classOf(characters.ignorable)];
  const pattern = `([${cased}][${ignorable}]*)\\u03a3(?![${ignorable}]*[${cased}])`;
  const lastSigma = new RegExp(pattern, "gu");
  const unknown = `\\0${classOf(characters.without_case)}`;
  const lowerKnown = between(unknown, (text) => text.toLowerCase());
  return (text) => {
    if (!text.includes("\u03a3")) return lowerKnown(text);
    return lowerKnown(text.replace(lastSigma, "$1\u03c2").replaceAll("\u03a3", "\u03c3"));
  };
}

/**
 * @param {"NFC" | "NFD" | "NFKC"} name
 * @param {Record<string, Ranges>} characters
 * @returns {Change}
 */
function form(name, characters) {
  return between(classOf(characters.without_forms), (text) => text.normalize(name));
}

/**
 * @param {CleanSettings} settings
 * @returns {Change}
 */
function normalizer({ normalize, characters, folds = {} }) {
  if (normalize !== "NFKC_CF") return form(normalize === "NFKC" ? "NFKC" : "NFC", characters);
  const texts = new Map(Object.entries(folds));
  const fold = (/** @type {string} */ text) =>
    text.replace(/[^]/gu, (character) => texts.get(character) ?? character);
  return chain([without(classOf(characters.folded_away)), fold, form("NFKC", characters)]);
}
