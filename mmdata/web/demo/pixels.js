/** Draws pixels as they are, without scaling or colour management. */

/**
 * @param {Uint8Array} pixels [h, w, channels], 0-255; 1 channel (grey) or 3 (RGB).
 * @param {[number, number]} size [h, w]
 * @param {string} label What the picture shows, for people who do not see it.
 * @returns {HTMLCanvasElement}
 */
export function canvasOf(pixels, [height, width], label) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  const image = new ImageData(width, height);
  const channels = pixels.length / (width * height);
  for (let i = 0; i < width * height; i++) {
    const [r, g, b] = channels === 1 ? Array(3).fill(pixels[i]) : pixels.subarray(3 * i, 3 * i + 3);
    image.data.set([r, g, b, 255], 4 * i);
  }
  canvas.getContext("2d")?.putImageData(image, 0, 0);
  return canvas;
}

/**
 * The pictures of a batch, one by one.
 *
 * @param {import("../mmdata.d.ts").Batch} batch Not normalized.
 * @returns {Uint8Array[]} [h, w, channels] each.
 */
export function picturesOf({ images, imageShape: [count, ...shape] }) {
  const size = shape.reduce((product, side) => product * side);
  return Array.from({ length: count }, (_, i) =>
    /** @type {Uint8Array} */ (images).subarray(i * size, (i + 1) * size),
  );
}
