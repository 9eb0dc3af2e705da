/** `.npy` files: version 1.0, C order, little-endian. */

/** @typedef {import("../mmdata.d.ts").Column} Column */

/** @type {Record<string, any>} */
const ARRAYS = {
  "|b1": Uint8Array,
  "|u1": Uint8Array,
  "|i1": Int8Array,
  "<u2": Uint16Array,
  "<i2": Int16Array,
  "<u4": Uint32Array,
  "<i4": Int32Array,
  "<u8": BigUint64Array,
  "<i8": BigInt64Array,
  "<f4": Float32Array,
  "<f8": Float64Array,
};

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0]; // \x93NUMPY, version 1.0

/**
 * The numbers of a file.
 *
 * @param {Uint8Array} file
 * @param {string} dtype As NumPy writes it, e.g. "<u4".
 * @param {string} where Its address, for messages.
 * @returns {any} A typed array; it shares the memory of `file` where it can.
 */
export function parseNpy(file, dtype, where) {
  const size = file[8] | (file[9] << 8);
  const header = new TextDecoder("latin1").decode(file.subarray(10, 10 + size));
  const isNpy = MAGIC.every((byte, at) => file[at] === byte);
  if (!isNpy || !header.includes(`'descr': '${dtype}'`) || !/'fortran_order': False/.test(header)) {
    throw new Error(
      `${where} must be an .npy file of version 1.0, in C order, of dtype ${dtype}; got ` +
        `${isNpy ? header.trim() : "another file"}. Export the folder again.`,
    );
  }
  const data = file.subarray(10 + size);
  return typed(data, dtype);
}

/**
 * @param {Uint8Array} bytes
 * @param {string} dtype
 */
function typed(bytes, dtype) {
  const array = ARRAYS[dtype];
  if (!array) throw new Error(`This mmdata.js reads ${Object.keys(ARRAYS)}; got dtype ${dtype}.`);
  const aligned = bytes.byteOffset % array.BYTES_PER_ELEMENT === 0 ? bytes : bytes.slice();
  return new array(aligned.buffer, aligned.byteOffset, bytes.length / array.BYTES_PER_ELEMENT);
}

/**
 * An empty typed array.
 *
 * @param {string} dtype
 * @param {number} length
 */
export function zeros(dtype, length) {
  return typed(new Uint8Array(length * Number(dtype.slice(2))), dtype);
}
