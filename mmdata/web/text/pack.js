/** Token ids -> sequences with start, prompt, end and padding, as Python's `Pack`. */

/**
 * @param {ArrayLike<number>[]} rows Token ids of each caption, without special tokens.
 * @param {import("../mmdata.d.ts").TextSettings} text
 * @returns {{ tokenIds: Int32Array, tokenShape: [number, number], paddingMask: Int32Array,
 *   responseMask: Int32Array }} [b, t]; the masks are 1 at real tokens, and at those behind the prompt.
 */
export function pack(rows, text) {
  const before = text.start_id === null ? text.prompt : [text.start_id, ...text.prompt];
  const special = before.length + (text.end_id === null ? 0 : 1);
  const counts = rows.map((ids) => Math.min(ids.length, text.length - special));
  const width = text.padding === "longest" ? special + Math.max(0, ...counts) : text.length;
  const tokenIds = new Int32Array(rows.length * width).fill(text.pad_id);
  const paddingMask = new Int32Array(tokenIds.length);
  const responseMask = new Int32Array(tokenIds.length);
  rows.forEach((ids, row) => {
    const end = counts[row] + special;
    const first = row * width + (text.padding_side === "left" ? width - end : 0);
    const response = first + before.length;
    tokenIds.set(before, first);
    for (let i = 0; i < counts[row]; i++) tokenIds[response + i] = ids[i];
    if (text.end_id !== null) tokenIds[first + end - 1] = text.end_id;
    paddingMask.fill(1, first, first + end);
    responseMask.fill(1, response, first + end);
  });
  return { tokenIds, tokenShape: [rows.length, width], paddingMask, responseMask };
}
