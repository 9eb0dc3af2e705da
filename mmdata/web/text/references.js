/** HTML's character references -> the characters that they mean, as Python's `html.unescape`. */

/**
 * @typedef {object} References
 * @property {Record<string, string>} names The texts of names, such as "amp;" and "amp".
 * @property {string[]} numbers The texts of the first numbers.
 */

const REFERENCE = /&(?:#(?:([0-9]+)|[xX]([0-9a-fA-F]+));?|([0-9a-zA-Z]{1,32};?))/g;
const BEYOND = 0x110000;

/**
 * @param {References} references
 * @returns {(text: string) => string} Replaces them twice: many captions are escaped twice.
 */
export function unescaper({ names, numbers }) {
  const texts = new Map(Object.entries(names));
  const once = (/** @type {string} */ text) =>
    text.replace(REFERENCE, (whole, decimal, hexadecimal, name) => {
      if (name) return named(name, texts) ?? whole;
      return numbered(decimal ? parseInt(decimal, 10) : parseInt(hexadecimal, 16), numbers);
    });
  return (text) => (text.includes("&") ? once(once(text)) : text);
}

/**
 * @param {string} name
 * @param {Map<string, string>} texts
 * @returns {string | undefined} The text of the longest name at the beginning, and the rest.
 */
function named(name, texts) {
  for (let end = name.length; end > 1; end--) {
    const text = texts.get(name.slice(0, end));
    if (text !== undefined) return text + name.slice(end);
  }
  return undefined;
}

/**
 * @param {number} number
 * @param {string[]} numbers
 */
function numbered(number, numbers) {
  if (number < numbers.length) return numbers[number];
  if (number >= BEYOND || (number >= 0xd800 && number < 0xe000)) return "\ufffd";
  const isCharacter = (number < 0xfdd0 || number > 0xfdef) && number % 0x10000 < 0xfffe;
  return isCharacter ? String.fromCodePoint(number) : "";
}
