/** CRC-32, as in zlib and PNG. */

const SLICES = 16;
const TABLES = makeTables();

/**
 * The CRC-32 of bytes.
 *
 * @param {Uint8Array} bytes
 * @returns {number} 0 to 2^32 - 1.
 *
 * Source: "slicing-by-16", Intel's extension of Sarwate's table method.
 */
export function crc32(bytes) {
  let crc = -1;
  let at = 0;
  for (const last = bytes.length - SLICES; at <= last; at += SLICES) crc = slice(crc, bytes, at);
  for (; at < bytes.length; at++) crc = TABLES[(crc ^ bytes[at]) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/**
 * @param {number} crc
 * @param {Uint8Array} b
 * @param {number} i
 */
function slice(crc, b, i) {
  const t = TABLES;
  return (
    t[3840 + (b[i] ^ (crc & 255))] ^
    t[3584 + (b[i + 1] ^ ((crc >>> 8) & 255))] ^
    t[3328 + (b[i + 2] ^ ((crc >>> 16) & 255))] ^
    t[3072 + (b[i + 3] ^ (crc >>> 24))] ^
    t[2816 + b[i + 4]] ^
    t[2560 + b[i + 5]] ^
    t[2304 + b[i + 6]] ^
    t[2048 + b[i + 7]] ^
    t[1792 + b[i + 8]] ^
    t[1536 + b[i + 9]] ^
    t[1280 + b[i + 10]] ^
    t[1024 + b[i + 11]] ^
    t[768 + b[i + 12]] ^
    t[512 + b[i + 13]] ^
    t[256 + b[i + 14]] ^
    t[b[i + 15]]
  );
}

/** Table k holds the CRC of each byte with k zeros behind it. */
function makeTables() {
  const tables = new Int32Array(256 * SLICES);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    tables[byte] = crc;
  }
  for (let i = 256; i < tables.length; i++) {
    const crc = tables[i - 256];
    tables[i] = (crc >>> 8) ^ tables[crc & 255];
  }
  return tables;
}
